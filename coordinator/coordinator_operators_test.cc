// What operators ask of a coordinator, with workers that obey at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/coordinator.h"
#include "coordinator/test_workers.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

class OperatorsTest : public testing::Test {
 protected:
  void JoinThree(int64_t room = 100) {
    workers_.Join("a1", WorkerRole::kAttention);
    for (const char* name : {"e1", "e2", "e3"}) workers_.Join(name, WorkerRole::kExpert, room);
    for (const char* name : {"e1", "e2", "e3"}) {
      EXPECT_EQ(workers_.WaitFor(name, HoldsItsShare).report.holds.size(), 4) << name;
    }
  }
  static bool HoldsItsShare(const WorkerListing& worker) {
    return !worker.assigned.empty() && worker.report.holds == worker.assigned;
  }
  static bool IsGone(const WorkerListing& worker) { return worker.state == WorkerState::kGone; }
  static ExpertSet Some(ExpertGrid grid = kWorkersGrid) {
    ExpertSet experts(grid);
    experts.Insert(1, 0);
    return experts;
  }
  std::string Error(const absl::StatusOr<OrdersNow>& answer, absl::StatusCode code) {
    EXPECT_EQ(answer.status().code(), code);
    return std::string(answer.status().message());
  }

  Coordinator coordinator_{OptionsOfTests(3), [](const auto&, const auto&) { return nullptr; }};
  TestWorkers workers_{&coordinator_};
};

TEST_F(OperatorsTest, ADrainedWorkerHandsOverAllThatItHasAndIsGone) {
  JoinThree();
  const auto now = coordinator_.SetOrders("e2", {.drain = true});
  ASSERT_TRUE(now.ok()) << now.status();
  EXPECT_TRUE(now->orders.drain);
  EXPECT_EQ(now->state, WorkerState::kReady);
  EXPECT_EQ(workers_.WaitFor("e2", IsGone).state, WorkerState::kGone);
  const FleetListing fleet = coordinator_.List();
  EXPECT_TRUE(fleet.uncovered.empty());
  EXPECT_EQ(fleet.missing, "");
  EXPECT_GE(fleet.rounds, 2u);
  // The order has been carried out: a new life of this name stays.
  EXPECT_EQ(coordinator_.SetOrders("e2", {})->orders, WorkerOrders());
  EXPECT_EQ(fleet.workers[2].orders, WorkerOrders());
}

TEST_F(OperatorsTest, WhatAnOrderDoesNotNameStays) {
  JoinThree();
  ASSERT_TRUE(coordinator_.SetOrders("e1", {.cordoned = true}).ok());
  ASSERT_TRUE(coordinator_.SetOrders("e1", {.pinned = Some()}).ok());
  auto now = coordinator_.SetOrders("e1", {});
  EXPECT_TRUE(now->orders.cordoned);
  EXPECT_EQ(now->orders.pinned, Some());
  EXPECT_EQ(coordinator_.List().workers[1].orders, now->orders);
  now = coordinator_.SetOrders("e1", {.cordoned = false, .pinned = ExpertSet()});
  EXPECT_EQ(now->orders, WorkerOrders());
}

TEST_F(OperatorsTest, OrdersWaitForAWorkerThatIsYetToCome) {
  const auto now = coordinator_.SetOrders("e1", {.cordoned = true});
  ASSERT_TRUE(now.ok()) << now.status();
  EXPECT_EQ(now->state, std::nullopt);
  workers_.Join("e1", WorkerRole::kExpert);
  EXPECT_TRUE(coordinator_.List().workers.at(0).orders.cordoned);
}

TEST_F(OperatorsTest, APinMustBeOfTheModelAndForAnExpertWorker) {
  EXPECT_THAT(Error(coordinator_.SetOrders("e1", {.pinned = Some()}),
                    absl::StatusCode::kFailedPrecondition),
              HasSubstr("no worker has told the model's grid"));
  JoinThree();
  EXPECT_THAT(Error(coordinator_.SetOrders("e1", {.pinned = Some({1, 2, 7})}),
                    absl::StatusCode::kInvalidArgument),
              HasSubstr("pinned is for 2 layers of 7 experts from layer 1; the model has 2 of 6"));
  EXPECT_THAT(
      Error(coordinator_.SetOrders("a1", {.pinned = Some()}), absl::StatusCode::kInvalidArgument),
      HasSubstr("a1 is an attention worker"));
  EXPECT_EQ(coordinator_.SetOrders("e1", {})->orders, WorkerOrders()) << "refused whole";
}

TEST_F(OperatorsTest, NamesWithOrdersAreBounded) {
  for (size_t i = 0; i < kMaxOrders; ++i) {
    ASSERT_TRUE(coordinator_.SetOrders(absl::StrCat("w", i), {.cordoned = true}).ok());
  }
  EXPECT_EQ(
      Error(coordinator_.SetOrders("more", {.drain = true}), absl::StatusCode::kResourceExhausted),
      "65536 names have orders already");
  EXPECT_TRUE(coordinator_.SetOrders("w7", {.drain = true}).ok()) << "it has some";
  EXPECT_TRUE(coordinator_.SetOrders("w7", {.cordoned = false, .drain = false}).ok());
  EXPECT_TRUE(coordinator_.SetOrders("more", {.drain = true}).ok());
}

TEST_F(OperatorsTest, ADryRunTellsTheMovesAndChangesNothing) {
  JoinThree();
  const FleetListing before = coordinator_.List();
  const auto nothing = coordinator_.PlanNow({});
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_TRUE(nothing->plan.rounds.empty());
  EXPECT_EQ(nothing->held_up, "");
  const auto answer = coordinator_.PlanNow({.drain = {"e3"}});
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->plan.rounds.size(), 1u);
  EXPECT_EQ(answer->plan.rounds[0].unloads.at("e3").size(), 4);
  EXPECT_EQ(answer->plan.bytes, 4 * kWorkersExpertBytes);
  EXPECT_EQ(answer->expert_bytes, kWorkersExpertBytes);
  const FleetListing after = coordinator_.List();
  EXPECT_EQ(after.topology, before.topology);
  EXPECT_EQ(after.rounds, before.rounds);
  EXPECT_FALSE(after.moving);
  for (size_t i = 0; i < after.workers.size(); ++i) {
    EXPECT_EQ(after.workers[i].assigned, before.workers[i].assigned);
    EXPECT_EQ(after.workers[i].orders, WorkerOrders());
  }
  EXPECT_EQ(coordinator_.PlanNow({.drain = {"a1"}}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(OperatorsTest, ADryRunSaysWhenNoPlanIsCarriedOut) {
  workers_.Join("e1", WorkerRole::kExpert);
  const auto answer = coordinator_.PlanNow({});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->held_up, "control waits for 3 expert workers to join");
  EXPECT_EQ(answer->plan.rounds.size(), 1u);
}

TEST_F(OperatorsTest, RebalancingGivesANewcomerItsShare) {
  JoinThree();
  workers_.Join("e4", WorkerRole::kExpert);
  const auto answer = coordinator_.Rebalance(/*force=*/false);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_FALSE(answer->plan.rounds.empty());
  EXPECT_LT(answer->plan.after.total_max_over_mean, answer->plan.before.total_max_over_mean);
  const auto settled = [](const WorkerListing& worker) {
    return worker.report.holds.size() == 3 && worker.report.holds == worker.assigned;
  };
  for (const char* name : {"e1", "e2", "e3", "e4"}) {
    EXPECT_EQ(workers_.WaitFor(name, settled).report.holds.size(), 3) << name;
  }
  EXPECT_TRUE(coordinator_.List().uncovered.empty());
}

TEST_F(OperatorsTest, AFreezeIsToldAndEndsByTheirWord) {
  JoinThree();
  EXPECT_FALSE(*coordinator_.Thaw());
  for (const char* name : {"e1", "e2"}) workers_.Lose(name);
  FleetListing fleet = coordinator_.List();
  EXPECT_EQ(fleet.frozen, "3 workers to be there, after many vanished at once; 2 are");
  const absl::Status refused = coordinator_.Rebalance(/*force=*/false).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("placement is frozen"));
  EXPECT_THAT(coordinator_.PlanNow({})->held_up, HasSubstr("after many vanished"));
  EXPECT_FALSE(coordinator_.List().uncovered.empty());
  EXPECT_TRUE(*coordinator_.Thaw());
  const auto all = [](const WorkerListing& worker) { return worker.report.holds.size() == 12; };
  EXPECT_EQ(workers_.WaitFor("e3", all).report.holds.size(), 12);
  EXPECT_EQ(coordinator_.List().frozen, "");
}

TEST_F(OperatorsTest, ForcedRebalancingEndsAFreeze) {
  JoinThree();
  for (const char* name : {"e1", "e2"}) workers_.Lose(name);
  ASSERT_NE(coordinator_.List().frozen, "");
  EXPECT_TRUE(coordinator_.Rebalance(/*force=*/true).ok());
  EXPECT_EQ(coordinator_.List().frozen, "");
}

TEST_F(OperatorsTest, TheListTellsWhatALossWouldMean) {
  JoinThree(/*room=*/6);
  FleetListing fleet = coordinator_.List();
  ASSERT_EQ(fleet.workers.size(), 4u);
  EXPECT_FALSE(fleet.workers[0].placement.has_value()) << "an attention worker";
  ASSERT_TRUE(fleet.workers[1].placement.has_value());
  EXPECT_EQ(fleet.workers[1].placement->margin.margin, FaultMargin::kSpareMemory);
  EXPECT_EQ(fleet.workers[1].placement->margin.alone, 4);
  EXPECT_EQ(fleet.workers[1].placement->room, 6);
  EXPECT_FALSE(fleet.workers[1].placement->tokens_per_second.has_value()) << "not known";
  ASSERT_TRUE(fleet.balance.has_value());
  EXPECT_EQ(fleet.balance->covered, 12);
  ASSERT_TRUE(coordinator_.SetOrders("e2", {.cordoned = true}).ok());
  fleet = coordinator_.List();
  EXPECT_EQ(fleet.workers[1].placement->margin.margin, FaultMargin::kNone);
  workers_.Lose("e3");
  EXPECT_FALSE(coordinator_.List().workers[3].placement.has_value()) << "LOST";
}

TEST_F(OperatorsTest, AMoveUnderWayIsTold) {
  workers_.Join("a1", WorkerRole::kAttention);
  for (const char* name : {"e1", "e2"}) workers_.Join(name, WorkerRole::kExpert);
  workers_.Join("e3", WorkerRole::kExpert, 100, /*obedient=*/false);
  workers_.WaitFor("e1", HoldsItsShare);
  const FleetListing fleet = coordinator_.List();
  EXPECT_TRUE(fleet.moving) << "e3 has not loaded";
  EXPECT_EQ(fleet.rounds, 1u);
}

TEST_F(OperatorsTest, AllIsUnavailableWhenItHasStopped) {
  coordinator_.Stop();
  for (const absl::Status& status :
       {coordinator_.SetOrders("e1", {}).status(), coordinator_.Rebalance(false).status(),
        coordinator_.Thaw().status(), coordinator_.PlanNow({}).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_TRUE(RetryAfter(status).has_value());
  }
}

}  // namespace
}  // namespace expertmesh
