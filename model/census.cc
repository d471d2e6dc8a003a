#include "model/census.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/tensor_names.h"

namespace expertmesh {
namespace {

int64_t Parameters(const TensorSpec& spec) {
  if (absl::EndsWith(spec.name, ".e_score_correction_bias")) return 0;
  int64_t product = 1;
  for (int64_t size : spec.shape) product *= size;
  return product;
}

// The same tensors `times` over. Their own sum is far below 2^63, whatever the config.
absl::Status Add(const std::vector<TensorSpec>& specs, int64_t times, Census& census) {
  std::array<int64_t, kTensorRoles> sums = {};
  int64_t all = 0;
  for (const TensorSpec& spec : specs) {
    sums[static_cast<size_t>(RoleOf(spec.name))] += Parameters(spec);
    all += Parameters(spec);
  }
  if (times > 0 && all > (kParametersMax - census.total) / times) {
    return absl::InvalidArgumentError(absl::StrCat("config.json: found sizes that make more than ",
                                                   kParametersMax,
                                                   " parameters, expected those of a model"));
  }
  for (int i = 0; i < kTensorRoles; ++i) census.by_role[i] += sums[i] * times;
  census.tensors += static_cast<int64_t>(specs.size()) * times;
  census.total += all * times;
  return absl::OkStatus();
}

}  // namespace

absl::string_view Name(TensorRole role) {
  constexpr absl::string_view kNames[] = {"embedding",      "attention",      "dense_ffn", "gate",
                                          "shared_experts", "routed_experts", "norms",     "head"};
  return kNames[static_cast<size_t>(role)];
}

TensorRole RoleOf(absl::string_view tensor) {
  if (absl::EndsWith(tensor, "norm.weight")) return TensorRole::kNorms;
  if (tensor == names::Embedding()) return TensorRole::kEmbedding;
  if (absl::StrContains(tensor, ".self_attn.")) return TensorRole::kAttention;
  if (absl::StrContains(tensor, ".mlp.experts.")) return TensorRole::kRoutedExperts;
  if (absl::StrContains(tensor, ".mlp.shared_experts.")) return TensorRole::kSharedExperts;
  if (absl::StrContains(tensor, ".mlp.gate.")) return TensorRole::kGate;
  if (absl::StrContains(tensor, ".mlp.")) return TensorRole::kDenseFfn;
  return TensorRole::kHead;
}

// A config may ask for more layers than are worth a list of names: they are of two kinds.
absl::StatusOr<Census> CountParameters(const ModelConfig& config) {
  Census census;
  RETURN_IF_ERROR(Add(OuterTensors(config), 1, census));
  const int64_t moe_layers = config.moe_layers(), dense_layers = config.layers - moe_layers;
  if (dense_layers > 0) RETURN_IF_ERROR(Add(LayerTensors(config, 0), dense_layers, census));
  census.active = census.total;
  if (moe_layers == 0) return census;
  RETURN_IF_ERROR(Add(LayerTensors(config, config.first_moe_layer), moe_layers, census));
  census.routed_experts = moe_layers * config.routed_experts;
  census.per_expert = census.of(TensorRole::kRoutedExperts) / census.routed_experts;
  census.active =
      census.total - (config.routed_experts - config.top_k) * moe_layers * census.per_expert;
  return census;
}

int64_t LatentElementsPerToken(const ModelConfig& config) {
  return config.layers * config.latent_width();
}

}  // namespace expertmesh
