// shard.h: the routed experts that one worker holds: read, packed, tested, found again.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "cluster/expert_set.h"
#include "device/device.h"
#include "kernels/ops.h"
#include "model/checkpoint/checkpoint.h"

namespace expertmesh {

// Packed bytes of one routed expert of this checkpoint.
uint64_t ExpertBytes(const Checkpoint& checkpoint, bool widen);

// The grid of routed experts of this config.
ExpertGrid GridOf(const ModelConfig& config);

// One expert's weights, in a buffer of their own, so that they can go alone.
struct LoadedExpert {
  int32_t layer = 0;
  int32_t expert = 0;
  Buffer memory;
  ExpertWeights weights;  // views of it
};
// Of one load, not yet part of a Shard.
using LoadedExperts = std::vector<LoadedExpert>;

// Reads and packs `experts` piece by piece: the peak is the packed size and a little. `progress`
// counts bytes read. Any thread.
absl::StatusOr<LoadedExperts> LoadExperts(const Checkpoint& checkpoint, const ExpertSet& experts,
                                          bool widen, Device& device,
                                          std::atomic<uint64_t>* progress,
                                          const std::atomic<bool>& cancelled);

// Found by (layer, expert). Threads: one changes it, and nothing that a pass which runs reads.
class Shard {
 public:
  explicit Shard(ExpertGrid grid);
  void Add(LoadedExperts experts);
  // All of them are there.
  void Remove(const ExpertSet& experts);
  // One pointer per expert of the layer; null where it is not held.
  absl::Span<const ExpertWeights* const> Layer(int32_t layer) const;

 private:
  size_t Place(int32_t layer, int32_t expert) const;

  ExpertGrid grid_;
  std::vector<std::unique_ptr<LoadedExpert>> held_;  // [layers, experts]
  std::vector<const ExpertWeights*> table_;          // [layers, experts]
};

}  // namespace expertmesh
