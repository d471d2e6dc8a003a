// The first placement, through plan.h.
#include "coordinator/placement/packing.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_traces.h"
#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

TEST(FirstPlacement, DealsRunsOfNeighboursWhenLoadsAreNotKnown) {
  PlacementInput fleet = EmptyFleet({0, 3, 8}, 3, 99);
  fleet = AfterPlan(fleet, PlanPlacement(fleet, {}));
  EXPECT_EQ(TextOf(fleet),
            "a: layers 0-1: experts 0-2; layer 2: experts 0-1 | "
            "b: layer 0: experts 3-5; layer 1: experts 3-4; layer 2: experts 2-4 | "
            "c: layer 0: experts 6-7; layers 1-2: experts 5-7");
}

TEST(FirstPlacement, IsEvenToOneExpertWhateverTheNumbers) {
  for (int32_t workers = 1; workers <= 9; ++workers) {
    for (int32_t experts : {1, 7, 16, 64}) {
      PlacementInput fleet = EmptyFleet({1, 5, experts}, workers, 1000);
      fleet = AfterPlan(fleet, PlanPlacement(fleet, {}));
      int64_t least = INT64_MAX, most = 0, all = 0;
      for (const PlacementWorker& worker : fleet.workers) {
        least = std::min(least, worker.holds.size());
        most = std::max(most, worker.holds.size());
        all += worker.holds.size();
      }
      EXPECT_EQ(all, fleet.grid.size()) << "replicas without known loads";
      EXPECT_LE(most - least, 1) << workers << " workers, " << experts << " experts";
    }
  }
}

TEST(FirstPlacement, KeepsWholeGroupsOnOneWorkerWhereTheCountsAllow) {
  for (int32_t workers : {1, 2, 4, 8}) {
    PlacementInput fleet = EmptyFleet({0, 3, 160}, workers, 480);
    fleet.routing = {8, 3, 6};
    const PlacementInput end = AfterPlan(fleet, PlanPlacement(fleet, {}));
    for (const PlacementWorker& worker : end.workers) {
      for (int32_t layer = 0; layer < 3; ++layer) {
        for (int32_t e = 0; e < 160; ++e) {
          EXPECT_EQ(worker.holds.Contains(layer, e), worker.holds.Contains(layer, e / 20 * 20));
        }
      }
    }
    EXPECT_LE(Summarize(end).fan_out, std::min(workers, 3) + 1e-9);
  }
}

TEST(FirstPlacement, KeepsGroupsTogetherAlsoWhenLoadsAreKnown) {
  PlacementInput grouped = TraceFleet("groups", {0, 4, 160}, 16, 12);
  PlacementInput apart = grouped;
  apart.routing.groups = 1;
  const PlacementInput end = AfterPlan(grouped, PlanPlacement(grouped, {}));
  PlacementInput other = AfterPlan(apart, PlanPlacement(apart, {}));
  other.routing = grouped.routing;
  EXPECT_LT(Summarize(end).fan_out, 0.95 * Summarize(other).fan_out);
  EXPECT_LE(Summarize(end).layer_max_over_mean, 1.03 * Summarize(other).layer_max_over_mean);
}

TEST(FirstPlacement, UsesTheRoomOfOthersWhereOneIsSmall) {
  PlacementInput fleet = EmptyFleet({0, 2, 8}, 2, 100);
  fleet.workers[0].room = 3;
  PlanOptions options;
  options.reserve = 0;
  fleet = AfterPlan(fleet, PlanPlacement(fleet, options));
  EXPECT_EQ(fleet.workers[0].holds.size(), 3);
  EXPECT_EQ(fleet.workers[1].holds.size(), 13);
}

TEST(FirstPlacement, LeavesTheReserveFreeUnlessCoverageNeedsIt) {
  PlanOptions options;
  options.reserve = 0.25;
  PlacementInput roomy = TraceFleet("zipf-1.4", {0, 4, 16}, 4, 4);
  for (PlacementWorker& worker : roomy.workers) worker.room = 40;
  for (const PlacementWorker& worker : AfterPlan(roomy, PlanPlacement(roomy, options)).workers) {
    EXPECT_LE(worker.holds.size(), 30);
    EXPECT_GT(worker.holds.size(), 16) << "no replicas";
  }
  PlacementInput tight = roomy;
  for (PlacementWorker& worker : tight.workers) worker.room = 17;
  EXPECT_TRUE(PlanPlacement(tight, options).uncovered.empty());
}

TEST(FirstPlacement, FillsSpareMemoryWithReplicasWhenAsked) {
  PlacementInput fleet = EmptyFleet({0, 2, 8}, 4, 10);
  PlanOptions options;
  options.spare_replicas = true;
  const Plan plan = PlanPlacement(fleet, options);
  EXPECT_GE(plan.after.replicas, 16) << "there is memory for two of each";
  EXPECT_LE(plan.after.replicas, 20) << "and a reserve";
  for (int32_t e = 0; e < 8; ++e) {
    int32_t holders = 0;
    for (const PlacementWorker& worker : AfterPlan(fleet, plan).workers) {
      holders += worker.holds.Contains(0, e);
    }
    EXPECT_GE(holders, 2) << "expert " << e;
  }
}

TEST(FirstPlacement, PutsPinsWhereTheyBelong) {
  PlacementInput fleet = EmptyFleet({0, 2, 4}, 2, 8);
  fleet.workers[1].pinned = SetOf(fleet.grid, {{0, 0}, {1, 0}});
  fleet = AfterPlan(fleet, PlanPlacement(fleet, {}));
  EXPECT_TRUE(fleet.workers[1].holds.Contains(0, 0) && fleet.workers[1].holds.Contains(1, 0));
  EXPECT_EQ(fleet.workers[0].holds.size(), 4);
  EXPECT_EQ(fleet.workers[1].holds.size(), 4);
}

}  // namespace
}  // namespace expertmesh
