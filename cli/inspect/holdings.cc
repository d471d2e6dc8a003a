#include "cli/inspect/holdings.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/match.h"
#include "kernels/pack.h"
#include "model/tensor_names.h"

namespace expertmesh {
namespace {

// How a tensor is stored. It is read in `dtype`, which of fp8 is f32.
struct Form {
  DType dtype = DType::kBf16;
  bool fp8 = false;
  uint64_t bytes = 0;  // with the scales
};

std::string Spelling(const Form& form) {
  if (form.fp8) return "F8_E4M3";
  return form.dtype == DType::kBf16 ? "BF16" : form.dtype == DType::kF16 ? "F16" : "F32";
}

// The bytes that a worker allocates for a tensor.
uint64_t PackedBytesOf(const TensorSpec& spec, const Form& form, const ModelConfig& c) {
  if (spec.shape.size() < 2) return static_cast<uint64_t>(spec.shape[0]) * sizeof(float);
  const bool is_gate = RoleOf(spec.name) == TensorRole::kGate;
  const DType packed = PackedDType(form.dtype, /*widen=*/is_gate);
  if (absl::EndsWith(spec.name, ".kv_b_proj.weight")) {  // in two: keys transposed, and values
    return PackedBytes(c.heads * c.kv_lora_rank, c.qk_nope_dim, packed) +
           PackedBytes(c.heads * c.v_dim, c.kv_lora_rank, packed);
  }
  return PackedBytes(spec.shape[0], spec.shape[1], packed);
}

// The tensors of some layers that are alike, `times` over. An expert's three follow each other.
template <typename FormOf>
void Add(const std::vector<TensorSpec>& specs, int64_t times, const ModelConfig& config,
         FormOf form_of, Holdings& holdings) {
  uint64_t stored_expert = 0, packed_expert = 0;
  int matrices = 0;
  for (const TensorSpec& spec : specs) {
    const Form form = form_of(spec);
    const uint64_t packed = PackedBytesOf(spec, form, config);
    const TensorRole role = RoleOf(spec.name);
    const auto count = static_cast<uint64_t>(times);
    holdings.stored.by_role[static_cast<size_t>(role)] += form.bytes * count;
    holdings.packed.by_role[static_cast<size_t>(role)] += packed * count;
    holdings.tensors_by_dtype[Spelling(form)] += times;
    if (role != TensorRole::kRoutedExperts) continue;
    stored_expert += form.bytes;
    packed_expert += packed;
    if (++matrices % 3 != 0) continue;
    holdings.stored.expert = std::max(holdings.stored.expert, stored_expert);
    holdings.packed.expert = std::max(holdings.packed.expert, packed_expert);
    stored_expert = packed_expert = 0;
  }
}

Form AssumedForm(const TensorSpec& spec, const ModelConfig& config) {
  uint64_t elements = 1;
  for (int64_t size : spec.shape) elements *= static_cast<uint64_t>(size);
  if (absl::EndsWith(spec.name, ".e_score_correction_bias")) {
    return {.dtype = DType::kF32, .bytes = elements * 4};
  }
  const TensorRole role = RoleOf(spec.name);
  const bool quantised = role == TensorRole::kAttention || role == TensorRole::kDenseFfn ||
                         role == TensorRole::kSharedExperts || role == TensorRole::kRoutedExperts;
  if (!config.fp8_weights || !quantised || spec.shape.size() < 2) {
    return {.dtype = DType::kBf16, .bytes = elements * 2};
  }
  uint64_t scales = 1;
  for (int64_t size : spec.shape) {
    scales *= static_cast<uint64_t>((size + kFp8Block - 1) / kFp8Block);
  }
  return {.dtype = DType::kF32, .fp8 = true, .bytes = elements + scales * 4};
}

}  // namespace

uint64_t RoleBytes::total() const {
  return std::accumulate(by_role.begin(), by_role.end(), uint64_t{0});
}

Holdings HoldingsOf(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  const auto form_of = [&](const TensorSpec& spec) {
    const TensorInfo& info = checkpoint.tensor(spec.name);
    const uint64_t scales = info.scale == nullptr ? 0 : info.scale->bytes;
    return Form{.dtype = info.dtype, .fp8 = info.scale != nullptr, .bytes = info.bytes + scales};
  };
  Holdings holdings;
  Add(OuterTensors(config), 1, config, form_of, holdings);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    Add(LayerTensors(config, layer), 1, config, form_of, holdings);
  }
  return holdings;
}

Holdings AssumedHoldings(const ModelConfig& config) {
  const auto form_of = [&](const TensorSpec& spec) { return AssumedForm(spec, config); };
  Holdings holdings;
  Add(OuterTensors(config), 1, config, form_of, holdings);
  const int64_t moe_layers = config.moe_layers(), dense_layers = config.layers - moe_layers;
  if (dense_layers > 0) Add(LayerTensors(config, 0), dense_layers, config, form_of, holdings);
  if (moe_layers > 0) {
    Add(LayerTensors(config, config.first_moe_layer), moe_layers, config, form_of, holdings);
  }
  return holdings;
}

}  // namespace expertmesh
