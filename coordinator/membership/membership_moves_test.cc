// Experts that move: survivors take over, workers are drained, moves wait for those who ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/membership/test_fleet.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kAll = 12;  // experts of kTestGrid

// e0 and e1, READY with half of the experts each, and a0, which works by the newest topology.
class MovesTest : public testing::Test {
 protected:
  MovesTest() : fleet_({.initial_expert_workers = 2}) {
    for (TestWorker* worker : {&e0_, &e1_}) {
      fleet_.Dial(*worker);
      fleet_.Say(*worker, 0);
    }
    fleet_.Hear(e0_);
    fleet_.Load(e0_, 1);
    fleet_.Load(e1_, 1);
    a0_.report.state = WorkerState::kReady;
    fleet_.Dial(a0_);
    fleet_.Say(a0_, 2);
    fleet_.Say(a0_, 3);
    EXPECT_EQ(fleet_.uncovered(), 0);
    EXPECT_EQ(e0_.assigned.size() + e1_.assigned.size(), kAll);
  }

  // What the newest topology lists `name` with.
  ExpertSet Published(const std::string& name) const {
    for (const Member& member : fleet_.control.topology()->members) {
      if (member.name == name) return member.holds;
    }
    return ExpertSet(kTestGrid);
  }
  // It works by what it has heard, and says so.
  void Hears(TestWorker& worker, int64_t ms) {
    fleet_.Hear(worker);
    fleet_.Say(worker, ms);
  }
  void Drain(TestWorker& worker, int64_t ms) {
    worker.report.state = WorkerState::kDraining;
    fleet_.Say(worker, ms);
  }

  TestFleet fleet_;
  TestWorker e0_ = ExpertWorkerNamed("e0"), e1_ = ExpertWorkerNamed("e1");
  TestWorker a0_ = AttentionWorkerNamed("a0");
};

TEST_F(MovesTest, SurvivorsTakeWhatALostWorkerHeld) {
  const ExpertSet before = e1_.assigned;
  fleet_.Hangup(e0_, 10);
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned.size(), kAll);
  EXPECT_EQ(Published("e1"), before) << "load, then publish";
  EXPECT_GT(fleet_.uncovered(), 0);
  fleet_.Load(e1_, 20);
  EXPECT_EQ(fleet_.uncovered(), 0);
}

TEST_F(MovesTest, WhoHasNoRoomTakesNothing) {
  e1_.report.memory_bytes = 7 * kTestExpertBytes;
  fleet_.Say(e1_, 5);
  fleet_.Hangup(e0_, 10);
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned.size(), 7);
}

TEST_F(MovesTest, ADrainingWorkerIsRelievedStepByStepAndReleased) {
  const ExpertSet mine = e0_.assigned;
  Drain(e0_, 10);
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned.size(), kAll) << "load";
  EXPECT_EQ(e0_.assigned, mine);
  EXPECT_EQ(Published("e0"), mine) << "it still answers";
  EXPECT_EQ(fleet_.uncovered(), 0);

  fleet_.Load(e1_, 20);  // publish
  EXPECT_EQ(Published("e1").size(), kAll);
  EXPECT_EQ(Published("e0"), mine) << "a0 has not dialled e1 for these";
  Hears(a0_, 22);  // retire
  fleet_.Hear(e0_);
  EXPECT_TRUE(Published("e0").empty());
  EXPECT_EQ(e0_.assigned, mine) << "a0 may still ask it";
  fleet_.Say(e0_, 25);
  EXPECT_EQ(e0_.assigned, mine);

  fleet_.Hear(a0_);
  fleet_.Say(a0_, 30);  // it works by the new topology: unload
  fleet_.Hear(e0_);
  EXPECT_TRUE(e0_.assigned.empty());
  EXPECT_FALSE(e0_.released) << "it has not said that it is empty";
  fleet_.Obey(e0_, 40);
  EXPECT_TRUE(e0_.released);
  EXPECT_EQ(fleet_.uncovered(), 0);

  fleet_.Hangup(e0_, 50);
  EXPECT_EQ(fleet_.Record("e0").state, WorkerState::kGone);
  EXPECT_THAT(fleet_.Names(), ElementsAre("a0", "e1"));
}

TEST_F(MovesTest, ADrainingWorkerStaysWhereNobodyHasRoom) {
  e1_.report.memory_bytes = (kAll - 2) * kTestExpertBytes;
  fleet_.Say(e1_, 5);
  Drain(e0_, 10);
  for (int64_t ms = 20; ms < 100; ms += 10) {
    fleet_.Hear(e1_);
    fleet_.Load(e1_, ms);
    for (TestWorker* worker : {&a0_, &e0_}) {
      fleet_.Hear(*worker);
      fleet_.Obey(*worker, ms + 1);
    }
  }
  EXPECT_EQ(e0_.assigned.size(), 2) << "as much as fits has moved";
  EXPECT_FALSE(e0_.released);
  EXPECT_EQ(fleet_.uncovered(), 0);
}

TEST_F(MovesTest, ADrainingWorkerWithTheOnlyCopyStaysThoughNoAttentionWorkerIsThere) {
  e1_.report.memory_bytes = e1_.assigned.size() * kTestExpertBytes;
  fleet_.Say(e1_, 4);
  fleet_.Hangup(a0_, 5);
  Drain(e0_, 10);
  EXPECT_FALSE(e0_.released) << "a0 may be asking it still, and may come back";
}

TEST(Drain, WhereNobodyEverAskedAWorkerMayLeaveAtOnce) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  e0.report.state = WorkerState::kDraining;
  fleet.Say(e0, 10);
  EXPECT_TRUE(e0.released);
}

TEST(Drain, ANewControlReleasesNobodyBeforeItKnowsTheFleet) {
  TestFleet fleet({}, TestFleet::Start::kInRecovery);
  TestWorker e0 = ExpertWorkerNamed("e0");
  e0.report.incarnation = {1, 7};
  e0.report.highest_term = 1;
  e0.report.state = WorkerState::kDraining;
  e0.report.holds = ExpertSet::Full(kTestGrid);
  fleet.Dial(e0);
  fleet.Say(e0, 10);
  EXPECT_FALSE(e0.released);
}

TEST_F(MovesTest, WhatRetiresIsTakenBackWhenItsNewHolderDies) {
  const ExpertSet mine = e0_.assigned;
  Drain(e0_, 10);
  fleet_.Hear(e1_);
  fleet_.Load(e1_, 20);
  Hears(a0_, 22);
  EXPECT_TRUE(Published("e0").empty());
  fleet_.Hangup(e1_, 25);
  EXPECT_EQ(Published("e0"), mine) << "published again, at once";
  fleet_.Hear(a0_);
  fleet_.Say(a0_, 30);
  fleet_.Hear(e0_);
  EXPECT_TRUE(e0_.assigned.size() >= mine.size());
}

TEST_F(MovesTest, UnloadingWaitsForAttentionWorkersThatLive) {
  TestWorker a1 = AttentionWorkerNamed("a1");
  a1.report.state = WorkerState::kReady;
  fleet_.Dial(a1);
  fleet_.Say(a1, 5);
  fleet_.Say(a1, 6);
  fleet_.Hear(a0_);
  fleet_.Say(a0_, 7);
  Drain(e0_, 10);
  fleet_.Hear(e1_);
  fleet_.Load(e1_, 20);
  Hears(a0_, 25);
  Hears(a1, 26);
  Hears(a0_, 30);
  fleet_.Hear(e0_);
  EXPECT_FALSE(e0_.assigned.empty()) << "a1 has not heard";
  fleet_.Hangup(a1, 40);
  fleet_.Hear(a0_);
  fleet_.Say(a0_, 41);
  fleet_.Hear(e0_);
  EXPECT_TRUE(e0_.assigned.empty()) << "a1 is lost, and not waited for";
}

TEST_F(MovesTest, WhatIsBeingUnloadedIsGivenAgainOnlyWhenItIsGone) {
  const ExpertSet mine = e0_.assigned;
  Drain(e0_, 10);
  fleet_.Hear(e1_);
  fleet_.Load(e1_, 20);
  Hears(a0_, 25);
  fleet_.Hear(a0_);
  fleet_.Say(a0_, 30);
  ASSERT_TRUE(fleet_.Record("e0").assigned.empty()) << "it has been told, and has not heard it";
  fleet_.Hangup(e1_, 40);
  EXPECT_TRUE(Published("e0").empty());
  EXPECT_TRUE(fleet_.Record("e0").assigned.empty());
  fleet_.Hear(e0_);
  e0_.report.state = WorkerState::kReady;  // it was called off
  fleet_.Obey(e0_, 50);
  EXPECT_EQ(e0_.assigned.size(), kAll);
  EXPECT_TRUE(Published("e0").empty());
  fleet_.Load(e0_, 60);
  EXPECT_EQ(fleet_.uncovered(), 0);
}

// ---- silence

TEST_F(MovesTest, WhoIsSilentToAnAttentionWorkerAndToControlIsLostBeforeItsLeaseEnds) {
  for (int64_t ms = 100; ms <= 400; ms += 100) {
    fleet_.Advance(ms);
    fleet_.Say(e0_, ms);
    fleet_.Say(e1_, ms);
    fleet_.Say(a0_, ms);
  }
  a0_.report.silent = {e0_.report.incarnation};
  fleet_.Advance(800);
  fleet_.Say(e1_, 800);
  fleet_.Say(a0_, 900);
  EXPECT_EQ(fleet_.Record("e0").state, WorkerState::kReady) << "control has missed one report only";
  fleet_.Advance(1000);
  fleet_.Say(a0_, 1000);
  EXPECT_EQ(fleet_.Record("e0").state, WorkerState::kLost);
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned.size(), kAll);
  EXPECT_EQ(fleet_.Record("e1").state, WorkerState::kReady);
}

TEST_F(MovesTest, SilenceToOthersAloneIsNoLoss) {
  a0_.report.silent = {e0_.report.incarnation};
  for (int64_t ms = 100; ms <= 3000; ms += 100) {
    fleet_.Advance(ms);
    fleet_.Say(e0_, ms);
    fleet_.Say(e1_, ms);
    fleet_.Say(a0_, ms);
  }
  EXPECT_EQ(fleet_.Record("e0").state, WorkerState::kReady);
}

TEST_F(MovesTest, APauseOfControlIsNoSilence) {
  fleet_.Advance(100);
  a0_.report.silent = {e0_.report.incarnation};
  fleet_.Report(a0_, 1500);  // what e0 said lies behind it
  EXPECT_EQ(fleet_.Record("e0").state, WorkerState::kReady);
}

// ---- balance

TEST_F(MovesTest, ANewcomerGetsItsShareWhenTheLoadHasBeenUnevenForAWhile) {
  TestWorker e2 = ExpertWorkerNamed("e2");
  fleet_.Dial(e2);
  fleet_.Say(e2, 10);
  EXPECT_TRUE(e2.assigned.empty()) << "nothing is uncovered";
  for (int64_t ms = 250; ms <= 20000; ms += 250) {
    fleet_.Advance(ms);
    for (TestWorker* worker : {&e0_, &e1_, &e2, &a0_}) {
      fleet_.Hear(*worker);
      if (worker != &a0_) {
        worker->report.state =
            worker->assigned.empty() ? WorkerState::kJoining : WorkerState::kReady;
        worker->report.holds = worker->assigned;
      }
      fleet_.Say(*worker, ms);
      EXPECT_EQ(fleet_.uncovered(), 0);
    }
  }
  EXPECT_GE(e2.assigned.size(), kAll / 3);
  EXPECT_LT(e0_.assigned.size(), kAll / 2);
}

TEST_F(MovesTest, AHotExpertIsMovedAwayFromOtherHotOnes) {
  // All the load is on two experts of e0.
  uint64_t rows = 0;
  for (int64_t ms = 250; ms <= 60000; ms += 250) {
    fleet_.Advance(ms);
    for (TestWorker* worker : {&e0_, &e1_, &a0_}) {
      fleet_.Hear(*worker);
      if (worker != &a0_) worker->report.holds = worker->assigned;
      worker->report.rows.assign(worker->report.holds.size(), 0);
      if (worker == &e0_ && ms < 5000) {
        worker->report.rows[0] = worker->report.rows[1] = rows += 1000;
      }
      fleet_.Say(*worker, ms);
    }
  }
  EXPECT_EQ(fleet_.uncovered(), 0);
  int hot_alone = 0;  // on e0: at most one of the two only there
  for (int32_t expert : {0, 1}) {
    hot_alone += e0_.assigned.Contains(1, expert) && !e1_.assigned.Contains(1, expert);
  }
  EXPECT_LE(hot_alone, 1);
}

// ---- operators

TEST_F(MovesTest, AnOperatorMayDrainAWorkerAndCallItOff) {
  fleet_.control.SetOrders("e0", {.drain = true});
  fleet_.Hear(e0_);
  EXPECT_TRUE(e0_.drain);
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned.size(), kAll);
  fleet_.control.SetOrders("e0", {});
  fleet_.Hear(e0_);
  EXPECT_FALSE(e0_.drain);
}

TEST_F(MovesTest, AnOrderToDrainIsOverWhenItIsCarriedOut) {
  fleet_.control.SetOrders("e0", {.drain = true});
  fleet_.Hear(e0_);
  fleet_.Hear(e1_);
  fleet_.Load(e1_, 20);
  Hears(a0_, 25);
  fleet_.Hear(a0_);
  fleet_.Say(a0_, 30);
  e0_.report.state = WorkerState::kDraining;
  fleet_.Hear(e0_);
  fleet_.Obey(e0_, 40);
  ASSERT_TRUE(e0_.released);
  fleet_.Hangup(e0_, 50);
  TestWorker again = ExpertWorkerNamed("e0");
  fleet_.Dial(again);
  fleet_.Say(again, 60);
  EXPECT_FALSE(again.drain);
}

TEST_F(MovesTest, ACordonedWorkerGetsNothingNew) {
  fleet_.control.SetOrders("e1", {.cordoned = true});
  const ExpertSet before = e1_.assigned;
  fleet_.Hangup(e0_, 10);
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned, before);
  fleet_.control.SetOrders("e1", {});
  fleet_.Hear(e1_);
  EXPECT_EQ(e1_.assigned.size(), kAll);
}

TEST_F(MovesTest, APinnedExpertIsFetched) {
  ExpertSet pinned(kTestGrid);
  for (int32_t e = 0; e < kTestGrid.experts; ++e) pinned.Insert(1, e);
  fleet_.control.SetOrders("e1", {.pinned = pinned});
  fleet_.Hear(e1_);
  ExpertSet missing = pinned;
  missing.RemoveAll(e1_.assigned);
  EXPECT_TRUE(missing.empty());
}

TEST_F(MovesTest, OrdersOfAWorkerThatIsNotThereAreKept) {
  fleet_.control.SetOrders("e2", {.cordoned = true});
  TestWorker e2 = ExpertWorkerNamed("e2");
  fleet_.Dial(e2);
  fleet_.Say(e2, 10);
  fleet_.Hangup(e0_, 20);
  fleet_.Hear(e2);
  EXPECT_TRUE(e2.assigned.empty());
}

// ---- the freeze

TEST(Freeze, NothingIsPlacedWhenMoreThanAThirdVanishUntilHalfOfThemAreBack) {
  TestFleet fleet({.initial_expert_workers = 5});
  std::vector<TestWorker> workers;
  for (const char* name : {"e0", "e1", "e2", "e3", "e4"})
    workers.push_back(ExpertWorkerNamed(name));
  for (TestWorker& worker : workers) {
    fleet.Dial(worker);
    fleet.Say(worker, 0);
  }
  for (TestWorker& worker : workers) {
    fleet.Hear(worker);
    fleet.Load(worker, 1);
  }
  ASSERT_EQ(fleet.uncovered(), 0);
  fleet.Hangup(workers[0], 10);
  for (TestWorker& worker : workers) fleet.Hear(worker);
  EXPECT_FALSE(fleet.control.frozen()) << "one alone is an everyday thing";
  const ExpertSet mine = workers[4].assigned;
  fleet.Hangup(workers[1], 20);
  fleet.Hear(workers[4]);
  EXPECT_TRUE(fleet.control.frozen()) << "two of five";
  EXPECT_EQ(workers[4].assigned, mine);
  EXPECT_THAT(fleet.control.WaitingFor(), HasSubstr("4 workers to be there"));
  fleet.Dial(workers[0]);
  fleet.Say(workers[0], 30);
  EXPECT_FALSE(fleet.control.frozen()) << "one of the two is back";
  ExpertSet wanted(kTestGrid);
  for (const auto& [name, record] : fleet.control.Records()) {
    if (record.state != WorkerState::kLost) wanted.InsertAll(record.assigned);
  }
  EXPECT_EQ(wanted.size(), kAll);
}

TEST(Freeze, EndsWhenAnOperatorSaysSo) {
  TestFleet fleet({.initial_expert_workers = 3});
  std::vector<TestWorker> workers;
  for (const char* name : {"e0", "e1", "e2"}) workers.push_back(ExpertWorkerNamed(name));
  for (TestWorker& worker : workers) {
    fleet.Dial(worker);
    fleet.Say(worker, 0);
  }
  for (TestWorker& worker : workers) {
    fleet.Hear(worker);
    fleet.Load(worker, 1);
  }
  fleet.Hangup(workers[0], 10);
  fleet.Hangup(workers[1], 11);
  EXPECT_TRUE(fleet.control.frozen());
  fleet.control.Thaw();
  fleet.Hear(workers[2]);
  EXPECT_EQ(workers[2].assigned.size(), kAll);
}

TEST(Freeze, EndsByItselfWhenNobodyComesBack) {
  TestFleet fleet({.initial_expert_workers = 3});
  std::vector<TestWorker> workers;
  for (const char* name : {"e0", "e1", "e2"}) workers.push_back(ExpertWorkerNamed(name));
  for (TestWorker& worker : workers) {
    fleet.Dial(worker);
    fleet.Say(worker, 0);
  }
  fleet.Hangup(workers[0], 10);
  fleet.Hangup(workers[1], 11);
  for (int64_t ms = 500; ms <= 30000; ms += 500) {
    fleet.Advance(ms);
    fleet.Say(workers[2], ms);
  }
  EXPECT_TRUE(fleet.control.frozen());
  fleet.Advance(30100);
  EXPECT_FALSE(fleet.control.frozen());
  fleet.Hear(workers[2]);
  EXPECT_EQ(workers[2].assigned.size(), kAll);
}

TEST(Freeze, SlowLossesAreNoReason) {
  TestFleet fleet({.initial_expert_workers = 3});
  std::vector<TestWorker> workers;
  for (const char* name : {"e0", "e1", "e2"}) workers.push_back(ExpertWorkerNamed(name));
  for (TestWorker& worker : workers) {
    fleet.Dial(worker);
    fleet.Say(worker, 0);
  }
  fleet.Hangup(workers[0], 10);
  fleet.Say(workers[1], 1500);
  fleet.Say(workers[2], 1500);
  fleet.Hangup(workers[1], 3000);
  EXPECT_FALSE(fleet.control.frozen());
}

}  // namespace
}  // namespace expertmesh
