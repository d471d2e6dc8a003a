#include "attention_worker/compute/weights.h"

#include <cmath>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/tensor_names.h"

namespace expertmesh {
namespace {

// Loads tensors one by one, each into a buffer of its own.
class Loader {
 public:
  Loader(const Checkpoint& checkpoint, bool widen, Device& device, std::atomic<uint64_t>* progress,
         const std::atomic<bool>& cancelled, std::vector<Buffer>& memory)
      : checkpoint_(checkpoint),
        widen_(widen),
        device_(device),
        progress_(progress),
        cancelled_(cancelled),
        memory_(memory) {}

  absl::StatusOr<PackedLinear> Matrix(const std::string& name, bool widen) {
    const TensorInfo& info = checkpoint_.tensor(name);
    const int64_t n = info.shape[0], k = info.shape[1];
    const DType packed = PackedDType(info.dtype, widen);
    ASSIGN_OR_RETURN(std::byte * target, NewMemory(PackedBytes(n, k, packed)));
    RETURN_IF_ERROR(checkpoint_.ReadPieces(
        name, piece_, [&](int64_t first, int64_t count, const std::byte* rows) {
          PackRows(rows, info.dtype, first, count, k, packed, target);
          progress_->fetch_add(count * k * SizeOf(info.dtype), std::memory_order_relaxed);
        }));
    return ViewPacked(target, packed, n, k);
  }
  absl::StatusOr<PackedLinear> Matrix(const std::string& name) { return Matrix(name, widen_); }

  absl::StatusOr<const float*> Vector(const std::string& name) {
    ASSIGN_OR_RETURN(std::vector<float> values, checkpoint_.ReadF32(name));
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) continue;
      return absl::DataLossError(absl::StrCat("tensor ", name, ": found ", values[i], " at ", i,
                                              ", expected finite numbers"));
    }
    ASSIGN_OR_RETURN(std::byte * target, NewMemory(values.size() * sizeof(float)));
    std::memcpy(target, values.data(), values.size() * sizeof(float));
    return reinterpret_cast<const float*>(target);
  }

  absl::StatusOr<FfnWeights> Ffn(std::string (*name)(int64_t, names::Ffn), int64_t layer) {
    FfnWeights ffn;
    ASSIGN_OR_RETURN(ffn.gate, Matrix(name(layer, names::Ffn::kGate)));
    ASSIGN_OR_RETURN(ffn.up, Matrix(name(layer, names::Ffn::kUp)));
    ASSIGN_OR_RETURN(ffn.down, Matrix(name(layer, names::Ffn::kDown)));
    return ffn;
  }

  // kv_b, head by head: dn key rows, which are transposed, then dv value rows.
  absl::Status KvB(int64_t layer, LayerWeights& out) {
    const ModelConfig& c = checkpoint_.config();
    const std::string name = names::KvB(layer);
    const DType stored = checkpoint_.tensor(name).dtype;
    const DType packed = PackedDType(stored, widen_);
    const int64_t dc = c.kv_lora_rank, dn = c.qk_nope_dim, dv = c.v_dim;
    ASSIGN_OR_RETURN(std::byte * keys, NewMemory(PackedBytes(c.heads * dc, dn, packed)));
    ASSIGN_OR_RETURN(std::byte * values, NewMemory(PackedBytes(c.heads * dv, dc, packed)));
    out.key_up = ViewPacked(keys, packed, c.heads * dc, dn);
    out.value_up = ViewPacked(values, packed, c.heads * dv, dc);
    const size_t row_bytes = dc * SizeOf(stored);
    piece_.resize((dn + dv) * row_bytes);
    const size_t key_head_bytes = dc * out.key_up.k_stride * SizeOf(packed);
    for (int64_t head = 0; head < c.heads; ++head) {
      RETURN_IF_ERROR(checkpoint_.ReadRows(name, head * (dn + dv), dn + dv, piece_.data()));
      PackTransposed(piece_.data(), stored, dc, dn, packed, keys + head * key_head_bytes);
      PackRows(piece_.data() + dn * row_bytes, stored, head * dv, dv, dc, packed, values);
      progress_->fetch_add(piece_.size(), std::memory_order_relaxed);
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::byte*> NewMemory(size_t bytes) {
    if (cancelled_.load(std::memory_order_relaxed)) return absl::CancelledError("load stopped");
    ASSIGN_OR_RETURN(Buffer buffer, device_.Allocate(bytes));
    memory_.push_back(std::move(buffer));
    return memory_.back().data();
  }

  const Checkpoint& checkpoint_;
  const bool widen_;
  Device& device_;
  std::atomic<uint64_t>* progress_;
  const std::atomic<bool>& cancelled_;
  std::vector<Buffer>& memory_;
  std::vector<std::byte> piece_;
};

absl::Status LoadAttention(Loader& loader, const ModelConfig& config, int64_t layer,
                           LayerWeights& out) {
  ASSIGN_OR_RETURN(out.input_norm, loader.Vector(names::InputNorm(layer)));
  if (config.q_lora_rank == 0) {
    ASSIGN_OR_RETURN(out.query, loader.Matrix(names::Query(layer)));
  } else {
    ASSIGN_OR_RETURN(out.query_a, loader.Matrix(names::QueryA(layer)));
    ASSIGN_OR_RETURN(out.query_a_norm, loader.Vector(names::QueryANorm(layer)));
    ASSIGN_OR_RETURN(out.query_b, loader.Matrix(names::QueryB(layer)));
  }
  ASSIGN_OR_RETURN(out.kv_a, loader.Matrix(names::KvA(layer)));
  if (config.attention_bias) {
    if (config.q_lora_rank != 0) {
      ASSIGN_OR_RETURN(out.query_a_bias, loader.Vector(names::QueryABias(layer)));
    }
    ASSIGN_OR_RETURN(out.kv_a_bias, loader.Vector(names::KvABias(layer)));
    ASSIGN_OR_RETURN(out.output_bias, loader.Vector(names::OutputBias(layer)));
  }
  ASSIGN_OR_RETURN(out.kv_a_norm, loader.Vector(names::KvANorm(layer)));
  RETURN_IF_ERROR(loader.KvB(layer, out));
  ASSIGN_OR_RETURN(out.output, loader.Matrix(names::Output(layer)));
  ASSIGN_OR_RETURN(out.post_attention_norm, loader.Vector(names::PostAttentionNorm(layer)));
  return absl::OkStatus();
}

absl::Status LoadFfn(Loader& loader, const ModelConfig& config, int64_t layer, LayerWeights& out) {
  if (!config.is_moe(layer)) {
    ASSIGN_OR_RETURN(out.dense, loader.Ffn(names::Dense, layer));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(out.router, loader.Matrix(names::Gate(layer), /*widen=*/true));
  if (config.gate_method == GateMethod::kNoAux) {
    ASSIGN_OR_RETURN(out.router_bias, loader.Vector(names::GateBias(layer)));
  }
  if (config.shared_experts > 0) {
    ASSIGN_OR_RETURN(out.shared, loader.Ffn(names::Shared, layer));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t AttentionMatrixBytes(const Checkpoint& checkpoint) {
  uint64_t bytes = 0;
  for (const TensorSpec& spec : RequiredTensors(checkpoint.config())) {
    if (spec.shape.size() != 2 || absl::StrContains(spec.name, ".mlp.experts.")) continue;
    const TensorInfo& info = checkpoint.tensor(spec.name);
    bytes += static_cast<uint64_t>(info.rows()) * info.row_bytes();
  }
  return bytes;
}

absl::StatusOr<AttentionWeights> LoadAttentionWeights(const Checkpoint& checkpoint, bool widen,
                                                      Device& device,
                                                      std::atomic<uint64_t>* progress,
                                                      const std::atomic<bool>& cancelled) {
  const ModelConfig& config = checkpoint.config();
  AttentionWeights weights;
  Loader loader(checkpoint, widen, device, progress, cancelled, weights.memory);
  ASSIGN_OR_RETURN(weights.embedding, loader.Matrix(names::Embedding()));
  weights.layers.resize(config.layers);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    RETURN_IF_ERROR(LoadAttention(loader, config, layer, weights.layers[layer]));
    RETURN_IF_ERROR(LoadFfn(loader, config, layer, weights.layers[layer]));
  }
  ASSIGN_OR_RETURN(weights.final_norm, loader.Vector(names::FinalNorm()));
  if (config.architecture == Architecture::kSequenceClassification) {
    ASSIGN_OR_RETURN(weights.score, loader.Matrix(names::Score()));
  }
  if (config.tied_head) {
    weights.head = weights.embedding;
  } else if (config.has_lm_head()) {
    ASSIGN_OR_RETURN(weights.head, loader.Matrix(names::Head()));
  }
  return weights;
}

}  // namespace expertmesh
