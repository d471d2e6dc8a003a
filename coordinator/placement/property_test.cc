// Random fleets, odd ones above all: the promises of plan.h hold on each. A failure names its seed:
// EXPERTMESH_SEED=n runs that case alone.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "coordinator/placement/test_traces.h"
#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

constexpr uint64_t kCases = 8000;

struct Case {
  PlacementInput fleet;
  PlanOptions options;
  bool one_class_each = true;  // no expert is held in two classes to begin with
};

std::vector<double> RandomLoads(const ExpertGrid& grid, TraceRandom& random) {
  std::vector<double> loads(grid.size(), 0);
  switch (random.Below(6)) {
    case 0:
      return {};
    case 1:
      return loads;
    case 2:  // one expert has it all
      if (!loads.empty()) loads[random.Below(grid.size())] = 1000;
      return loads;
    case 3:  // some are idle
      for (double& load : loads) load = random.Below(3) == 0 ? 0 : 1 + random.Below(5);
      return loads;
    default:
      return grid.experts > 1 ? Trace("zipf-1.0", grid, random.Next()) : loads;
  }
}

// What a worker holds, without going beyond its room or the class of an expert.
void RandomHoldings(Case& made, PlacementWorker& worker, std::vector<int32_t>& class_of,
                    TraceRandom& random) {
  const ExpertGrid& grid = made.fleet.grid;
  const int64_t density = random.Below(4);
  const bool over_full = random.Below(50) == 0;
  int64_t left = worker.room;
  for (int64_t cell = 0; cell < grid.size(); ++cell) {
    const int32_t layer = grid.first_layer + static_cast<int32_t>(cell / grid.experts);
    const int32_t expert = static_cast<int32_t>(cell % grid.experts);
    if (random.Below(4) == 0) worker.pinned.Insert(layer, expert);
    if (random.Below(4) >= density || (left <= 0 && !over_full)) continue;
    if (class_of[cell] < 0) class_of[cell] = worker.compute_class;
    if (class_of[cell] != worker.compute_class) {
      if (random.Below(40) != 0) continue;
      made.one_class_each = false;
    }
    (random.Below(5) == 0 ? worker.loading : worker.holds).Insert(layer, expert);
    --left;
  }
  if (random.Below(3) != 0) worker.pinned = ExpertSet(grid);
}

Case RandomCase(uint64_t seed) {
  TraceRandom random(seed);
  Case made;
  ExpertGrid& grid = made.fleet.grid;
  grid = {static_cast<int32_t>(random.Below(3)), static_cast<int32_t>(random.Below(5)),
          static_cast<int32_t>(random.Below(13))};
  if (random.Below(3) == 0) made.fleet.routing = {static_cast<int32_t>(1 + random.Below(4)), 2, 3};
  made.fleet.expert_bytes = 10;
  made.fleet.loads = RandomLoads(grid, random);
  const int64_t workers = random.Below(8);
  const int64_t classes = random.Below(3) == 0 ? 2 : 1;
  const bool fresh = random.Below(4) == 0;
  std::vector<int32_t> class_of(grid.size(), -1);
  for (int64_t w = 0; w < workers; ++w) {
    PlacementWorker worker;
    worker.name = std::string(1, static_cast<char>('a' + w));
    worker.compute_class = static_cast<int32_t>(random.Below(classes));
    const int64_t fair = grid.size() / std::max<int64_t>(workers, 1) + 1;
    worker.room =
        random.Below(8) == 0 ? 0 : random.Below(random.Below(2) == 0 ? 2 * fair : 4 * fair);
    worker.cordoned = random.Below(8) == 0;
    worker.draining = random.Below(8) == 0;
    made.fleet.workers.push_back(worker);
  }
  Normalise(made.fleet);
  for (PlacementWorker& worker : made.fleet.workers) {
    if (!fresh) RandomHoldings(made, worker, class_of, random);
  }
  made.options.balance = random.Below(4) != 0;
  made.options.reserve = std::array{0.0, 0.1, 0.5}[random.Below(3)];
  made.options.spare_replicas = random.Below(4) == 0;
  return made;
}

bool SameRounds(const Plan& a, const Plan& b, size_t skip = 0) {
  if (a.rounds.size() != b.rounds.size() + skip) return false;
  for (size_t i = 0; i < b.rounds.size(); ++i) {
    const Round &x = a.rounds[i + skip], &y = b.rounds[i];
    if (x.cover != y.cover || x.loads != y.loads || x.unloads != y.unloads) return false;
  }
  return true;
}

// A replica that could be given up: somebody else holds it who is not to be emptied.
bool IsSurplus(const PlacementInput& fleet, const PlacementWorker& worker, int32_t layer,
               int32_t expert) {
  if (worker.pinned.Contains(layer, expert)) return false;
  for (const PlacementWorker& other : fleet.workers) {
    if (&other != &worker && !other.draining && other.compute_class == worker.compute_class &&
        other.holds.Contains(layer, expert)) {
      return true;
    }
  }
  return false;
}

// The worker has a slot for an expert that it does not hold, or could make one.
bool CouldTake(const PlacementInput& fleet, const PlacementWorker& worker) {
  if (worker.cordoned || worker.draining || worker.holds.size() > worker.room) return false;
  if (worker.holds.size() < worker.room) return true;
  const ExpertGrid& grid = fleet.grid;
  for (int32_t layer = grid.first_layer; layer < grid.first_layer + grid.layers; ++layer) {
    for (int32_t e = 0; e < grid.experts; ++e) {
      if (worker.holds.Contains(layer, e) && IsSurplus(fleet, worker, layer, e)) return true;
    }
  }
  return false;
}

// At the end only memory can be the reason why something is uncovered or not drained.
void CheckEnd(const Case& made, const PlacementInput& end, const Plan& plan) {
  const ExpertSet missing = Minus(ExpertSet::Full(end.grid), HeldByAnyone(end));
  EXPECT_EQ(plan.uncovered, missing);
  EXPECT_EQ(plan.unsolved.empty() && !missing.empty(), false);
  bool drained = true;
  for (const PlacementWorker& worker : end.workers) {
    drained &= !worker.draining || worker.holds.empty();
  }
  if (!made.one_class_each || (missing.empty() && drained)) return;
  for (const PlacementWorker& worker : end.workers) {
    EXPECT_FALSE(CouldTake(end, worker)) << worker.name << " has room left";
  }
}

void CheckPlan(const Case& made) {
  const Plan plan = PlanPlacement(made.fleet, made.options);
  ASSERT_LT(plan.rounds.size(), static_cast<size_t>(made.options.max_rounds));
  EXPECT_EQ(plan.bytes, static_cast<uint64_t>(LoadsOf(plan)) * made.fleet.expert_bytes);
  PlacementInput fleet = made.fleet;
  for (size_t i = 0; i < plan.rounds.size(); ++i) {
    fleet = CheckRound(fleet, plan.rounds[i], made.one_class_each);
    // Stable: who plans again after a round gets the rest, and from the end nothing.
    EXPECT_TRUE(SameRounds(plan, PlanPlacement(fleet, made.options), i + 1)) << "round " << i + 1;
    EXPECT_TRUE(made.options.balance || plan.rounds[i].cover);
  }
  CheckEnd(made, AfterRound(fleet, {}), plan);
  PlacementInput other_order = made.fleet;
  std::reverse(other_order.workers.begin(), other_order.workers.end());
  EXPECT_TRUE(SameRounds(plan, PlanPlacement(other_order, made.options))) << "order of workers";
}

TEST(PlanPlacement, KeepsItsPromisesOnRandomFleets) {
  const char* only = std::getenv("EXPERTMESH_SEED");
  const uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  for (uint64_t seed = first; seed < (only != nullptr ? first + 1 : first + kCases); ++seed) {
    SCOPED_TRACE("EXPERTMESH_SEED=" + std::to_string(seed));
    CheckPlan(RandomCase(seed));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace expertmesh
