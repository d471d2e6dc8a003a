#include "coordinator/placement/cover.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

TEST(Cover, PutsWhatWasLostOnTheLeastLoaded) {
  PlacementInput fleet = EmptyFleet({0, 1, 5}, 2, 4);
  fleet.loads = {5, 1, 1, 3, 2};
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 1}, {0, 2}});
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "a: layer 0: experts 4 | b: layer 0: experts 3");
}

TEST(Cover, GivesUpAReplicaWhereThereIsNoRoomElse) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, 2);
  fleet.loads = {9, 1, 1, 1};
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 1}, {0, 2}});
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 2u);
  EXPECT_TRUE(plan.rounds[0].loads.empty());
  EXPECT_EQ(TextOf(plan.rounds[0].unloads), "a: layer 0: experts 1");
  EXPECT_EQ(TextOf(plan.rounds[1].loads), "a: layer 0: experts 3");
}

TEST(Cover, GivesUpAsManyAtOnceAsItNeeds) {
  PlacementInput fleet = EmptyFleet({0, 1, 6}, 2, 4);
  for (PlacementWorker& worker : fleet.workers) {
    worker.holds = SetOf(fleet.grid, {{0, 0}, {0, 1}, {0, 2}, {0, 3}});
  }
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 2u);
  EXPECT_EQ(plan.after.covered, 6);
}

TEST(Cover, GivesUpTheReplicaThatIsMissedLeast) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, 3);
  fleet.loads = {9, 2, 1, 1};
  for (PlacementWorker& worker : fleet.workers) {
    worker.holds = SetOf(fleet.grid, {{0, 0}, {0, 1}, {0, 2}});
  }
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 2u);
  EXPECT_EQ(TextOf(plan.rounds[0].unloads), "a: layer 0: experts 2");
}

TEST(Cover, EmptiesADrainingWorkerAndGivesACordonedOneNothing) {
  PlacementInput fleet = EmptyFleet({0, 1, 6}, 3, 6);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}, {0, 2}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 2}, {0, 3}});
  fleet.workers[2].holds = SetOf(fleet.grid, {{0, 4}, {0, 5}});
  fleet.workers[0].draining = true;
  fleet.workers[1].cordoned = true;
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "c: layer 0: experts 0-1");
  EXPECT_EQ(TextOf(plan.rounds[0].unloads), "a: layer 0: experts 0-2");
}

TEST(Cover, LeavesOnADrainingWorkerWhatFitsNowhereElse) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, 3);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 2}, {0, 3}});
  fleet.workers[0].draining = true;
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(plan.rounds[0].loads.at("b").size(), 1);
  ASSERT_EQ(plan.unsolved.size(), 1u);
  EXPECT_EQ(plan.unsolved[0],
            "a is draining and keeps 1 experts: the others have no room for them");
}

// One fleet of two classes: a drains, b is of its class, c of another.
PlacementInput TwoClasses(int64_t room_of_b) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 3, 4);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[0].draining = true;
  fleet.workers[1].room = room_of_b;
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 2}});
  fleet.workers[2].holds = SetOf(fleet.grid, {{0, 3}});
  fleet.workers[2].compute_class = 1;
  return fleet;
}

TEST(Cover, DrainsInsideTheClassWhereThereIsRoom) {
  const Plan plan = PlanPlacement(TwoClasses(3), {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "b: layer 0: experts 0-1");
}

TEST(Cover, DrainsToAnotherClassOnlyWhereItsOwnHasNoRoom) {
  const Plan plan = PlanPlacement(TwoClasses(2), {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "b: layer 0: experts 0 | c: layer 0: experts 1");
  EXPECT_EQ(TextOf(plan.rounds[0].unloads), "a: layer 0: experts 0-1");
}

TEST(Cover, NeverReplicatesAcrossClasses) {
  PlacementInput fleet = EmptyFleet({0, 1, 2}, 2, 2);
  fleet.loads = {9, 1};
  fleet.workers[0].holds = ExpertSet::Full(fleet.grid);
  fleet.workers[1].compute_class = 1;
  PlanOptions options;
  options.balance = true;
  options.reserve = 0;
  EXPECT_TRUE(PlanPlacement(fleet, options).rounds.empty());
}

TEST(Cover, FetchesPinsAndMovesSomethingElseForThem) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, 3);
  fleet.workers[0].room = 2;
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 2}, {0, 3}});
  fleet.workers[0].pinned = SetOf(fleet.grid, {{0, 0}, {0, 2}});
  const Plan plan = PlanPlacement(fleet, {});
  const PlacementInput end = AfterPlan(fleet, plan);
  EXPECT_EQ(TextOf(end), "a: layer 0: experts 0, 2 | b: layer 0: experts 1-3");
  EXPECT_TRUE(plan.unsolved.empty());
}

TEST(Cover, FetchesNoMorePinsThanFit) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, 4);
  fleet.workers[0].holds = ExpertSet::Full(fleet.grid);
  fleet.workers[1].room = 2;
  fleet.workers[1].pinned = SetOf(fleet.grid, {{0, 0}, {0, 1}, {0, 3}});
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(TextOf(plan.rounds[0].loads), "b: layer 0: experts 0-1");
  EXPECT_TRUE(plan.unsolved.empty());
}

TEST(Cover, EmptiesADrainingWorkerOfWhatDoesNotCountToo) {
  // b's expert 0 is of a class that fewer hold: it is not used, and leaves with b.
  PlacementInput fleet = EmptyFleet({0, 1, 2}, 3, 2);
  for (PlacementWorker& worker : fleet.workers) worker.holds = SetOf(fleet.grid, {{0, 0}});
  fleet.workers[0].holds.Insert(0, 1);
  fleet.workers[1].compute_class = 1;
  EXPECT_TRUE(PlanPlacement(fleet, {}).rounds.empty());
  fleet.workers[1].draining = true;
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_TRUE(plan.rounds[0].loads.empty());
  EXPECT_EQ(TextOf(plan.rounds[0].unloads), "b: layer 0: experts 0");
}

TEST(Cover, SaysWhichPinsAreLacking) {
  PlacementInput fleet = EmptyFleet({0, 1, 2}, 2, 2);
  fleet.workers[0].holds = ExpertSet::Full(fleet.grid);
  fleet.workers[1].pinned = ExpertSet::Full(fleet.grid);
  fleet.workers[1].cordoned = true;
  const Plan plan = PlanPlacement(fleet, {});
  EXPECT_TRUE(plan.rounds.empty());
  ASSERT_EQ(plan.unsolved.size(), 1u);
  EXPECT_EQ(plan.unsolved[0], "b lacks 2 of its pins");
}

}  // namespace
}  // namespace expertmesh
