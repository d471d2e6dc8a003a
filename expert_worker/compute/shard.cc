#include "expert_worker/compute/shard.h"

#include "common/status.h"
#include "kernels/pack.h"
#include "model/tensor_names.h"

namespace expertmesh {
namespace {

struct Part {
  names::Ffn which;
  PackedLinear ExpertWeights::*field;
};
constexpr Part kParts[] = {{names::Ffn::kGate, &ExpertWeights::gate},
                           {names::Ffn::kUp, &ExpertWeights::up},
                           {names::Ffn::kDown, &ExpertWeights::down}};

size_t PartBytes(const Checkpoint& checkpoint, const std::string& name, bool widen) {
  const TensorInfo& info = checkpoint.tensor(name);
  return PackedBytes(info.shape[0], info.shape[1], PackedDType(info.dtype, widen));
}

uint64_t BytesOf(const Checkpoint& checkpoint, int32_t layer, int32_t expert, bool widen) {
  uint64_t bytes = 0;
  for (const Part& part : kParts) {
    bytes += PartBytes(checkpoint, names::Expert(layer, expert, part.which), widen);
  }
  return bytes;
}

// One matrix into `target`; returns its view.
absl::StatusOr<PackedLinear> LoadMatrix(const Checkpoint& checkpoint, const std::string& name,
                                        bool widen, std::byte* target,
                                        std::vector<std::byte>& scratch,
                                        std::atomic<uint64_t>* progress) {
  const TensorInfo& info = checkpoint.tensor(name);
  const int64_t n = info.shape[0], k = info.shape[1];
  const DType packed = PackedDType(info.dtype, widen);
  RETURN_IF_ERROR(checkpoint.ReadPieces(
      name, scratch, [&](int64_t first, int64_t count, const std::byte* rows) {
        PackRows(rows, info.dtype, first, count, k, packed, target);
        progress->fetch_add(count * k * SizeOf(info.dtype), std::memory_order_relaxed);
      }));
  return ViewPacked(target, packed, n, k);
}

template <typename F>
void ForEach(const ExpertSet& experts, F&& f) {
  const ExpertGrid& grid = experts.grid();
  for (int32_t layer = grid.first_layer; layer < grid.first_layer + grid.layers; ++layer) {
    for (int32_t expert = 0; expert < grid.experts; ++expert) {
      if (experts.Contains(layer, expert)) f(layer, expert);
    }
  }
}

}  // namespace

ExpertGrid GridOf(const ModelConfig& config) {
  if (config.moe_layers() <= 0) return {};
  return {static_cast<int32_t>(config.first_moe_layer), static_cast<int32_t>(config.moe_layers()),
          static_cast<int32_t>(config.routed_experts)};
}

uint64_t ExpertBytes(const Checkpoint& checkpoint, bool widen) {
  const ExpertGrid grid = GridOf(checkpoint.config());
  return grid.layers == 0 ? 0 : BytesOf(checkpoint, grid.first_layer, 0, widen);
}

absl::StatusOr<LoadedExperts> LoadExperts(const Checkpoint& checkpoint, const ExpertSet& experts,
                                          bool widen, Device& device,
                                          std::atomic<uint64_t>* progress,
                                          const std::atomic<bool>& cancelled) {
  LoadedExperts loaded;
  ForEach(experts, [&](int32_t layer, int32_t expert) {
    LoadedExpert& entry = loaded.emplace_back();
    entry.layer = layer;
    entry.expert = expert;
  });
  std::vector<std::byte> scratch;
  for (LoadedExpert& entry : loaded) {
    ASSIGN_OR_RETURN(entry.memory,
                     device.Allocate(BytesOf(checkpoint, entry.layer, entry.expert, widen)));
    std::byte* target = entry.memory.data();
    for (const Part& part : kParts) {
      if (cancelled.load(std::memory_order_relaxed)) return absl::CancelledError("load stopped");
      const std::string name = names::Expert(entry.layer, entry.expert, part.which);
      ASSIGN_OR_RETURN(entry.weights.*part.field,
                       LoadMatrix(checkpoint, name, widen, target, scratch, progress));
      target += PartBytes(checkpoint, name, widen);
    }
  }
  return loaded;
}

Shard::Shard(ExpertGrid grid) : grid_(grid), held_(grid.size()), table_(grid.size(), nullptr) {}

size_t Shard::Place(int32_t layer, int32_t expert) const {
  return static_cast<size_t>(layer - grid_.first_layer) * grid_.experts + expert;
}

void Shard::Add(LoadedExperts experts) {
  for (LoadedExpert& loaded : experts) {
    const size_t place = Place(loaded.layer, loaded.expert);
    held_[place] = std::make_unique<LoadedExpert>(std::move(loaded));
    table_[place] = &held_[place]->weights;
  }
}

void Shard::Remove(const ExpertSet& experts) {
  ForEach(experts, [&](int32_t layer, int32_t expert) {
    const size_t place = Place(layer, expert);
    table_[place] = nullptr;
    held_[place] = nullptr;
  });
}

absl::Span<const ExpertWeights* const> Shard::Layer(int32_t layer) const {
  return absl::MakeConstSpan(table_).subspan(Place(layer, 0), grid_.experts);
}

}  // namespace expertmesh
