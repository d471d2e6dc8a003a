// topology.h: who is in the fleet and who holds which experts, as one versioned value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cluster/expert_set.h"
#include "common/ids.h"

namespace expertmesh {

enum class WorkerRole : uint8_t { kAttention = 1, kExpert = 2 };

// JOINING -> LOADING -> READY -> DRAINING -> GONE; LOST on a missed lease or a broken link.
enum class WorkerState : uint8_t {
  kJoining = 1,  // known, nothing to serve with yet
  kLoading = 2,
  kReady = 3,
  kDraining = 4,
  kGone = 5,
  kLost = 6,
};

absl::string_view Name(WorkerRole role);    // "attention", "expert"
absl::string_view Name(WorkerState state);  // "JOINING", ...

// Whether a worker answers what it is asked: READY, and DRAINING, which only takes nothing new on.
constexpr bool Serves(WorkerState state) {
  return state == WorkerState::kReady || state == WorkerState::kDraining;
}

// Which model this is: all workers of a fleet say the same.
struct ModelIdentity {
  std::string name;
  ModelFingerprint fingerprint;
  ExpertGrid grid;
  int32_t hidden = 0;         // elements of one row
  int32_t top_k = 0;          // experts per token and layer
  uint64_t expert_bytes = 0;  // packed bytes of one routed expert
  // The gate: how many groups of experts there are, and how many of them one token may use.
  int32_t groups = 1;
  int32_t chosen_groups = 1;
  bool operator==(const ModelIdentity&) const = default;
};

struct Member {
  std::string name;
  WorkerRole role = WorkerRole::kExpert;
  Incarnation incarnation;
  std::string address;  // where its peers dial it
  ComputeClass compute_class;
  WorkerState state = WorkerState::kJoining;
  ExpertSet holds;  // expert workers: what they answer for
  bool operator==(const Member&) const = default;
};

// Members are sorted by role, then name. A value: share it as shared_ptr<const Topology>.
struct Topology {
  Epoch epoch;
  ModelIdentity model;
  std::vector<Member> members;
  bool operator==(const Topology&) const = default;
};

// What no expert worker that serves holds.
ExpertSet Uncovered(const Topology& topology);

// Replicas of every expert, for the hot path: indices into topology.members, ascending.
class ReplicaTable {
 public:
  ReplicaTable() = default;
  explicit ReplicaTable(const Topology& topology);

  // The members that serve and hold (layer, expert); empty when uncovered.
  absl::Span<const int32_t> Of(int32_t layer, int32_t expert) const;

 private:
  ExpertGrid grid_;
  std::vector<int32_t> begin_;  // [grid.size() + 1] into members_
  std::vector<int32_t> members_;
};

}  // namespace expertmesh
