// What membership tells operators of itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/membership/test_fleet.h"

namespace expertmesh {
namespace {

// An attention worker and three expert workers that hold their share.
struct ThreeExperts {
  ThreeExperts() : fleet({.initial_expert_workers = 3}) {
    fleet.Join(attention, 0);
    for (TestWorker& worker : experts) {
      fleet.Dial(worker);
      fleet.Say(worker, 0);
    }
    for (TestWorker& worker : experts) {
      fleet.Hear(worker);
      fleet.Load(worker, 1);
    }
    fleet.Say(attention, 2);
  }
  TestFleet fleet;
  TestWorker attention = AttentionWorkerNamed("a0");
  std::vector<TestWorker> experts = {ExpertWorkerNamed("e0"), ExpertWorkerNamed("e1"),
                                     ExpertWorkerNamed("e2")};
};

TEST(Operators, WithoutAWorkerThereIsNoModelAndNothingToPlace) {
  TestFleet fleet;
  EXPECT_EQ(fleet.control.model(), std::nullopt);
  EXPECT_TRUE(fleet.control.Placement().workers.empty());
  EXPECT_FALSE(fleet.control.Moving());
  EXPECT_EQ(fleet.control.WhyFrozen(), "");
}

TEST(Operators, WhatAPlanWouldLookAtIsWhatIsThereAndAskingChangesNothing) {
  ThreeExperts three;
  Membership& control = three.fleet.control;
  control.SetOrders("e1", {.cordoned = true});
  const size_t published = three.fleet.published.size();
  const uint64_t rounds = control.rounds();
  const PlacementInput input = control.Placement();
  EXPECT_EQ(input.grid, kTestGrid);
  EXPECT_EQ(input.expert_bytes, kTestExpertBytes);
  ASSERT_EQ(input.workers.size(), 3u);
  EXPECT_EQ(input.workers[0].name, "e0");
  EXPECT_EQ(input.workers[0].holds, three.experts[0].report.holds);
  EXPECT_TRUE(input.workers[1].cordoned);
  EXPECT_EQ(control.model()->name, "tiny");
  EXPECT_EQ(three.fleet.published.size(), published);
  EXPECT_EQ(control.rounds(), rounds);
}

TEST(Operators, MovingIsToldUntilAllIsHeldAndGivenUp) {
  ThreeExperts three;
  Membership& control = three.fleet.control;
  EXPECT_FALSE(control.Moving());
  EXPECT_EQ(control.rounds(), 1u);
  control.SetOrders("e2", {.drain = true});
  EXPECT_TRUE(control.Moving());
  EXPECT_EQ(control.rounds(), 2u);
  for (int64_t ms = 10; ms < 15; ++ms) {
    for (TestWorker& worker : three.experts) {
      three.fleet.Hear(worker);
      if (worker.drain) worker.report.state = WorkerState::kDraining;
      three.fleet.Obey(worker, ms);
    }
    three.fleet.Say(three.attention, ms);
  }
  EXPECT_FALSE(control.Moving());
  EXPECT_TRUE(three.experts[2].released);
}

TEST(Operators, OrdersAreCountedByName) {
  TestFleet fleet;
  fleet.control.SetOrders("x", {.cordoned = true});
  fleet.control.SetOrders("y", {.drain = true});
  EXPECT_EQ(fleet.control.orders_count(), 2u);
  fleet.control.SetOrders("x", {});
  EXPECT_EQ(fleet.control.orders_count(), 1u) << "no orders at all are none";
}

TEST(Operators, AFreezeSaysForWhomItWaitsThoughNothingIsUncovered) {
  ThreeExperts three;
  TestWorker idle = ExpertWorkerNamed("e3"), other = ExpertWorkerNamed("e4");
  for (TestWorker* worker : {&idle, &other}) three.fleet.Join(*worker, 3);
  for (TestWorker* worker : {&idle, &other, &three.attention}) three.fleet.Hangup(*worker, 4);
  ASSERT_EQ(three.fleet.uncovered(), 0);
  ASSERT_TRUE(three.fleet.control.frozen()) << "three of six";
  EXPECT_THAT(three.fleet.control.WhyFrozen(), testing::HasSubstr("workers to be there"));
  EXPECT_EQ(three.fleet.control.WaitingFor(), "") << "nothing is missing";
  three.fleet.control.Thaw();
  EXPECT_EQ(three.fleet.control.WhyFrozen(), "");
}

}  // namespace
}  // namespace expertmesh
