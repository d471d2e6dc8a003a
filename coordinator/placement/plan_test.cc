#include "coordinator/placement/plan.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

TEST(PlanPlacement, GivesTheExampleOfItsHeader) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 3, 3);
  fleet.loads = {6, 2, 1, 1};
  const Plan first = PlanPlacement(fleet, {});
  ASSERT_EQ(first.rounds.size(), 1u);
  EXPECT_TRUE(first.rounds[0].cover);
  EXPECT_EQ(TextOf(first.rounds[0].loads),
            "a: layer 0: experts 0, 3 | b: layer 0: experts 0, 3 | c: layer 0: experts 1-2");
  EXPECT_EQ(first.bytes, 600u);
  EXPECT_EQ(first.after.replicas, 2);

  fleet = AfterPlan(fleet, first);
  fleet.workers.pop_back();
  const Plan second = PlanPlacement(fleet, {});
  ASSERT_EQ(second.rounds.size(), 1u);
  EXPECT_EQ(TextOf(second.rounds[0].loads), "a: layer 0: experts 1 | b: layer 0: experts 2");
  EXPECT_TRUE(second.rounds[0].unloads.empty());
}

TEST(PlanPlacement, SaysWhatStaysUncoveredAndWhy) {
  const Plan plan = PlanPlacement(EmptyFleet({0, 2, 4}, 2, 3), {});
  EXPECT_EQ(plan.uncovered.size(), 2);
  ASSERT_EQ(plan.unsolved.size(), 1u);
  EXPECT_NE(plan.unsolved[0].find("2 experts are held by nobody"), std::string::npos);
  EXPECT_EQ(plan.after.covered, 6);
}

TEST(PlanPlacement, HasNothingToDoWhereThereIsNothing) {
  EXPECT_TRUE(PlanPlacement({}, {}).rounds.empty());
  EXPECT_TRUE(PlanPlacement(EmptyFleet({0, 0, 0}, 3, 5), {}).rounds.empty());  // all dense
  const Plan nobody = PlanPlacement(EmptyFleet({0, 2, 4}, 0, 0), {});
  EXPECT_TRUE(nobody.rounds.empty());
  EXPECT_EQ(nobody.uncovered.size(), 8);
}

TEST(PlanPlacement, CountsWhatIsLoadingAsThere) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 2, 4);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[1].loading = SetOf(fleet.grid, {{0, 2}, {0, 3}});
  EXPECT_TRUE(PlanPlacement(fleet, {}).rounds.empty());
}

TEST(PlanPlacement, NeverUnloadsInTheRoundBeforeTheLoadThatItWaitsFor) {
  // b is empty: half of a's experts go there, and leave a in the same round, which loads first.
  PlacementInput fleet = EmptyFleet({0, 1, 8}, 2, 8);
  fleet.workers[0].holds = ExpertSet::Full(fleet.grid);
  PlanOptions options;
  options.balance = true;
  const Plan plan = PlanPlacement(fleet, options);
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_FALSE(plan.rounds[0].cover);
  EXPECT_EQ(plan.rounds[0].loads.at("b").size(), 4);
  EXPECT_EQ(plan.rounds[0].unloads.at("a"), plan.rounds[0].loads.at("b"));
  EXPECT_DOUBLE_EQ(plan.before.total_max_over_mean, 2);
  EXPECT_DOUBLE_EQ(plan.after.total_max_over_mean, 1);
}

TEST(PlanPlacement, IgnoresASetOfAnotherModel) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 1, 4);
  fleet.workers[0].holds = ExpertSet::Full({0, 2, 9});
  const Plan plan = PlanPlacement(fleet, {});
  ASSERT_EQ(plan.rounds.size(), 1u);
  EXPECT_EQ(plan.rounds[0].loads.at("a").size(), 4);
}

}  // namespace
}  // namespace expertmesh
