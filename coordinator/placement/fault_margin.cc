#include "coordinator/placement/fault_margin.h"

#include <algorithm>

namespace expertmesh {
namespace {

// What others hold: loaded, or at least on its way.
struct Others {
  ExpertSet loaded, coming;
};

Others OthersOf(const PlacementInput& input, const PlacementWorker& worker) {
  Others others{ExpertSet(input.grid), ExpertSet(input.grid)};
  for (const PlacementWorker& other : input.workers) {
    if (&other == &worker || other.compute_class != worker.compute_class) continue;
    if (other.holds.grid() == input.grid) others.loaded.InsertAll(other.holds);
    if (other.loading.grid() == input.grid) others.coming.InsertAll(other.loading);
  }
  others.coming.InsertAll(others.loaded);
  return others;
}

int64_t FreeRoom(const PlacementInput& input, const PlacementWorker& worker) {
  if (worker.cordoned || worker.draining) return 0;
  ExpertSet occupied(input.grid);
  for (const ExpertSet* set : {&worker.holds, &worker.loading}) {
    if (set->grid() == input.grid) occupied.InsertAll(*set);
  }
  return std::max<int64_t>(worker.room - occupied.size(), 0);
}

WorkerMargin MarginOf(const PlacementInput& input, const PlacementWorker& worker) {
  WorkerMargin margin;
  margin.name = worker.name;
  for (const PlacementWorker& other : input.workers) {
    if (&other == &worker || other.compute_class != worker.compute_class) continue;
    margin.spare += FreeRoom(input, other);
  }
  if (!(worker.holds.grid() == input.grid)) return margin;
  const Others others = OthersOf(input, worker);
  ExpertSet unreplicated = worker.holds, alone = worker.holds;
  unreplicated.RemoveAll(others.loaded);
  alone.RemoveAll(others.coming);
  margin.alone = alone.size();
  if (!unreplicated.empty()) {
    margin.margin = margin.alone <= margin.spare ? FaultMargin::kSpareMemory : FaultMargin::kNone;
  }
  return margin;
}

}  // namespace

absl::string_view Name(FaultMargin margin) {
  switch (margin) {
    case FaultMargin::kReplica:
      return "replica";
    case FaultMargin::kSpareMemory:
      return "spare memory";
    case FaultMargin::kNone:
      return "none";
  }
  return "unknown";
}

std::vector<WorkerMargin> FaultMargins(const PlacementInput& input) {
  std::vector<WorkerMargin> margins;
  for (const PlacementWorker& worker : input.workers) margins.push_back(MarginOf(input, worker));
  std::sort(margins.begin(), margins.end(),
            [](const WorkerMargin& a, const WorkerMargin& b) { return a.name < b.name; });
  return margins;
}

}  // namespace expertmesh
