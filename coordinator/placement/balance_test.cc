#include "coordinator/placement/balance.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_traces.h"
#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

PlanOptions Balancing() {
  PlanOptions options;
  options.balance = true;
  options.reserve = 0;
  return options;
}

// One layer of four experts on two workers: a has 0 and 1, b has 2 and 3.
PlacementInput TwoByTwo(std::vector<double> loads, int64_t room) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, room);
  fleet.loads = std::move(loads);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 2}, {0, 3}});
  return fleet;
}

TEST(Balance, MovesNothingBelowItsTargets) {
  const PlacementInput fleet = TwoByTwo({54.9, 49.9, 50, 45.2}, 4);  // 104.8 to 95.2
  EXPECT_TRUE(PlanPlacement(fleet, Balancing()).rounds.empty());
  PlanOptions strict = Balancing();
  strict.layer_target = 1.03;
  EXPECT_FALSE(PlanPlacement(fleet, strict).rounds.empty());
}

TEST(Balance, MovesNothingForAGainThatIsNotWorthIt) {
  const PlacementInput fleet = TwoByTwo({53, 53, 52, 42}, 4);  // a swap would make 105 of 106
  EXPECT_TRUE(PlanPlacement(fleet, Balancing()).rounds.empty());
  PlanOptions eager = Balancing();
  eager.min_gain = 0;
  EXPECT_FALSE(PlanPlacement(fleet, eager).rounds.empty());
}

TEST(Balance, IsNotDoneUnlessAskedFor) {
  EXPECT_TRUE(PlanPlacement(TwoByTwo({90, 90, 10, 10}, 4), {}).rounds.empty());
}

TEST(Balance, MovesAsFewExpertsAsItTakes) {
  const Plan plan = PlanPlacement(TwoByTwo({60, 60, 40, 40}, 3), Balancing());
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "a: layer 0: experts 2 | b: layer 0: experts 0");
  EXPECT_EQ(TextOf(plan.rounds[0].unloads), "a: layer 0: experts 0 | b: layer 0: experts 2");
  EXPECT_EQ(plan.bytes, 200u);
  EXPECT_DOUBLE_EQ(plan.after.layer_max_over_mean, 1);
}

TEST(Balance, ReplicatesWhatIsHotterThanAWorker) {
  const Plan plan = PlanPlacement(TwoByTwo({90, 4, 3, 3}, 3), Balancing());
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "b: layer 0: experts 0");
  EXPECT_TRUE(plan.rounds[0].unloads.empty());
  EXPECT_LT(plan.after.layer_max_over_mean, 1.03);
}

TEST(Balance, LeavesTheImbalanceWhereNoOrderExists) {
  // Both are full to the last slot, with one copy of each: nothing can come before something goes.
  const Plan plan = PlanPlacement(TwoByTwo({90, 90, 10, 10}, 2), Balancing());
  EXPECT_TRUE(plan.rounds.empty());
  EXPECT_DOUBLE_EQ(plan.after.layer_max_over_mean, 1.8);
}

TEST(Balance, GoesOnceThroughTheSlotOfAnotherWhereOneIsFull) {
  PlacementInput fleet = TwoByTwo({60, 60, 10, 10}, 2);
  fleet.workers[1].room = 3;
  const Plan plan = PlanPlacement(fleet, Balancing());
  EXPECT_FALSE(plan.rounds.empty());
  EXPECT_LT(plan.after.layer_max_over_mean, 1.2);
}

TEST(Balance, KeepsTheReserveFree) {
  PlanOptions options = Balancing();
  options.reserve = 0.5;
  PlacementInput fleet = TwoByTwo({90, 4, 3, 3}, 4);
  for (const Round& round : PlanPlacement(fleet, options).rounds) {
    fleet = AfterRound(fleet, round);
    for (const PlacementWorker& worker : fleet.workers) EXPECT_LE(worker.holds.size(), 2);
  }
}

TEST(Balance, GivesAnEmptyWorkerItsPart) {
  PlacementInput fleet = EmptyFleet({0, 4, 16}, 5, 64);
  for (int32_t w = 0; w < 4; ++w) {
    for (int32_t e = 0; e < 64; ++e) {
      if (e % 4 == w) fleet.workers[w].holds.Insert(e / 16, e % 16);
    }
  }
  const PlacementInput end = AfterPlan(fleet, PlanPlacement(fleet, Balancing()));
  EXPECT_GE(end.workers[4].holds.size(), 10);
  EXPECT_LE(end.workers[4].holds.size(), 13);
}

TEST(Balance, LeavesPinsAndTheCordonedAlone) {
  PlacementInput fleet = TwoByTwo({60, 60, 40, 40}, 4);
  fleet.workers[0].pinned = fleet.workers[0].holds;
  fleet.workers[1].pinned = fleet.workers[1].holds;
  for (const Round& round : PlanPlacement(fleet, Balancing()).rounds) {
    EXPECT_TRUE(round.unloads.empty()) << "a pin was moved";
  }
  fleet.workers[1].cordoned = true;
  EXPECT_TRUE(PlanPlacement(fleet, Balancing()).rounds.empty());
}

TEST(Balance, DoesNotScatterAGroupForLessThanItIsWorth) {
  // Two groups of four, each on one of two workers; the loads differ by 2 %.
  PlacementInput fleet = EmptyFleet({0, 1, 8}, 2, 8);
  fleet.routing = {2, 1, 2};
  fleet.loads = {26, 25, 25, 26, 25, 25, 24, 24};
  for (int32_t e = 0; e < 8; ++e) fleet.workers[e / 4].holds.Insert(0, e);
  PlanOptions options = Balancing();
  options.layer_target = options.total_target = 1.001;
  EXPECT_TRUE(PlanPlacement(fleet, options).rounds.empty());
  EXPECT_DOUBLE_EQ(Summarize(fleet).fan_out, 1);
}

TEST(Balance, GoesWhereTheGroupIsAlready) {
  // a has too much. b has some of the same group and c of the other; c has a little less load.
  PlacementInput fleet = EmptyFleet({0, 1, 8}, 3, 8);
  fleet.routing = {2, 1, 2};
  fleet.loads = {20, 5, 5, 20, 19.9, 0, 0, 0};
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}, {0, 2}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 3}});
  fleet.workers[2].holds = SetOf(fleet.grid, {{0, 4}, {0, 5}, {0, 6}, {0, 7}});
  PlanOptions options = Balancing();
  options.min_gain = 0.2;
  EXPECT_EQ(TextOf(PlanPlacement(fleet, options).rounds.at(0).loads), "b: layer 0: experts 1");
  fleet.routing.groups = 1;
  EXPECT_EQ(TextOf(PlanPlacement(fleet, options).rounds.at(0).loads), "c: layer 0: experts 1");
}

TEST(Balance, LeavesASlotFreeWhenItFillsSpareMemory) {
  PlacementInput fleet = EmptyFleet({0, 2, 8}, 4, 10);
  PlanOptions options = Balancing();
  for (int32_t e = 0; e < 16; ++e) fleet.workers[e % 4].holds.Insert(e / 8, e % 8);
  options.spare_replicas = true;
  const PlacementInput end = AfterPlan(fleet, PlanPlacement(fleet, options));
  for (const PlacementWorker& worker : end.workers) EXPECT_EQ(worker.holds.size(), 9);
}

TEST(Balance, RepairsBeforeItBalances) {
  PlacementInput fleet = TwoByTwo({60, 60, 10, 10}, 4);
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 2}});
  const Plan plan = PlanPlacement(fleet, Balancing());
  ASSERT_EQ(plan.rounds.size(), 2u);
  EXPECT_TRUE(plan.rounds[0].cover);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "b: layer 0: experts 3");
  EXPECT_FALSE(plan.rounds[1].cover);
}

}  // namespace
}  // namespace expertmesh
