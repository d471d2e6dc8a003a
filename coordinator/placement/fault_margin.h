// fault_margin.h: what the loss of one expert worker would mean, as things are now: a pure
// function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "coordinator/placement/fleet.h"

namespace expertmesh {

enum class FaultMargin : uint8_t {
  kReplica = 1,      // all that it holds somebody else holds too: nobody would notice
  kSpareMemory = 2,  // what it alone holds fits what the others have free: a pause
  kNone = 3,         // some experts would stay uncovered
};

absl::string_view Name(FaultMargin margin);  // "replica", "spare memory", "none"

struct WorkerMargin {
  std::string name;
  FaultMargin margin = FaultMargin::kReplica;
  int64_t alone = 0;  // experts that it alone holds and nobody else is loading
  int64_t spare = 0;  // that workers of its class, neither cordoned nor draining, have room for
};

// By name. A replica counts wherever it answers, also on a draining worker; memory only in the
// worker's own class, where running sequences can go on with the same bits. Replicas that could be
// given up are not counted as memory.
std::vector<WorkerMargin> FaultMargins(const PlacementInput& input);

}  // namespace expertmesh
