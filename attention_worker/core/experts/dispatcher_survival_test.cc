// What becomes of rows whose worker dies, leaves, or breaks of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "attention_worker/core/experts/test_rig.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;

void Break(DispatcherRig& rig, const std::string& name, int64_t ms) {
  rig.dispatcher.OnClosed(rig.transport.To(name)->id(), absl::UnavailableError("reset"),
                          TestTime(ms));
  rig.dispatcher.Tick(TestTime(ms));
}

// Two workers with every expert, of which both are asked.
void OpenReplicas(DispatcherRig& rig) {
  rig.Adopt({rig.Expert("e0", 0, 3), rig.Expert("e1", 0, 3)});
  rig.Open("e0");
  rig.Open("e1");
}

TEST(DispatcherSurvival, RowsOfADeadWorkerGoToItsReplicaAtOnce) {
  DispatcherRig rig;
  OpenReplicas(rig);
  rig.Dispatch({0, 1, 2, 3});
  const Message late = rig.Combine(rig.transport.To("e0")->dispatches[0]);
  const size_t lost_slots = rig.transport.To("e0")->dispatches[0].assignments.size();
  ASSERT_GT(lost_slots, 0u);
  Break(rig, "e0", 5);
  FakeChannel& e1 = *rig.transport.To("e1");
  ASSERT_EQ(e1.dispatches.size(), 2u);
  EXPECT_EQ(e1.dispatches[1].assignments.size(), lost_slots);
  EXPECT_GT(e1.dispatches[1].header.call.sequence, e1.dispatches[0].header.call.sequence);
  rig.dispatcher.OnMessage(e1.id(), rig.Combine(e1.dispatches[0]), TestTime(6));
  EXPECT_TRUE(rig.dispatcher.busy());
  rig.dispatcher.OnMessage(e1.id(), rig.Combine(e1.dispatches[1]), TestTime(7));
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_THAT(rig.lost, IsEmpty());
  for (size_t slot = 0; slot < 4; ++slot) {
    EXPECT_EQ(rig.Slot(slot / 2, slot % 2), rig.Of(slot / 2, static_cast<int32_t>(slot)));
  }
}

TEST(DispatcherSurvival, RowsWithoutAReplicaWaitForWhoeverComesToHoldTheirExpert) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2});
  rig.Answer("e0");
  rig.DeliverSent();
  Break(rig, "e1", 5);
  EXPECT_EQ(rig.dispatcher.suspended_since(), TestTime(5));
  EXPECT_LE(rig.dispatcher.NextWakeup(), TestTime(5 + kRigWait));
  rig.Adopt({rig.Expert("e0", 0, 3)}, 1500);  // it has loaded them
  rig.dispatcher.Tick(TestTime(1500));
  EXPECT_EQ(rig.dispatcher.suspended_since(), kNever);
  EXPECT_THAT(rig.transport.To("e0")->dispatches.back().assignments, ElementsAre(Assignment{0, 2}));
  rig.Answer("e0", 1501);
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_EQ(rig.Slot(0, 1), rig.Of(0, 2));
  EXPECT_THAT(rig.lost, IsEmpty());
}

TEST(DispatcherSurvival, EachSlotWaitsAsLongWhoeverElseWaits) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2, 2, 0, 1, 1});
  rig.Answer("e0");
  Break(rig, "e1", 5);
  rig.dispatcher.Tick(TestTime(kRigWait + 4));
  EXPECT_THAT(rig.lost, IsEmpty());
  EXPECT_EQ(rig.dispatcher.NextWakeup(), TestTime(kRigWait + 5));
  rig.dispatcher.Tick(TestTime(kRigWait + 5));
  EXPECT_THAT(rig.lost, ElementsAre(Key(0), Key(1)));
}

// A peer that can be dialled, and never answers, must not hold a step for ever.
TEST(DispatcherSurvival, IsBoundedAlsoWhereAWorkerComesBackAgainAndAgain) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3)});
  rig.Open("e0");
  rig.Dispatch({0, 1});
  rig.DeliverSent();
  int64_t ms = 0;
  while (rig.dispatcher.busy() && ms < 20 * kRigWait) {
    Break(rig, "e0", ms += 200);
    rig.dispatcher.Tick(TestTime(ms += 1001));
    rig.Open("e0", ms);
    rig.dispatcher.Tick(TestTime(ms));
    rig.DeliverSent();
  }
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_LE(ms, kRigWait + 3000);
  EXPECT_THAT(rig.lost, ElementsAre(Key(0)));
}

TEST(DispatcherSurvival, RowsThatNobodyWantsAnyMoreAreNotWaitedFor) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2, 2, 3});
  rig.Answer("e0");
  rig.DeliverSent();
  Break(rig, "e1", 5);
  rig.Skip(0);
  rig.dispatcher.Tick(TestTime(6));
  EXPECT_TRUE(rig.dispatcher.busy());
  rig.Skip(1);
  rig.dispatcher.Tick(TestTime(7));
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_THAT(rig.lost, IsEmpty());
  EXPECT_EQ(rig.dispatcher.suspended_since(), kNever);
}

// ---- NOT_HERE

Message NotHere(const SentMessage& dispatch, std::vector<uint64_t> experts, Epoch epoch) {
  Message message;
  message.header.kind = MessageKind::kNotHere;
  message.header.call = dispatch.header.call;
  message.header.layer = dispatch.header.layer;
  message.header.epoch = epoch;
  message.numbers = std::move(experts);
  return message;
}

TEST(DispatcherSurvival, WhatIsNotHereIsAskedElsewhereAndTheRestHereAgain) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3)});
  rig.Open("e0");
  rig.Dispatch({0, 1, 2, 3});
  FakeChannel& e0 = *rig.transport.To("e0");
  rig.dispatcher.OnMessage(e0.id(), NotHere(e0.dispatches[0], {2, 3}, {1, 7}), TestTime(1));
  EXPECT_FALSE(rig.dispatcher.covered());
  rig.dispatcher.Tick(TestTime(1));
  ASSERT_EQ(e0.dispatches.size(), 2u);
  EXPECT_THAT(e0.dispatches[1].assignments, ElementsAre(Assignment{0, 0}, Assignment{0, 1}));
  rig.Answer("e0", 2);
  // A topology that the worker was past already changes nothing.
  rig.AdoptEpoch({1, 7}, {rig.Expert("e0", 0, 3), rig.Expert("e1", 2, 3)}, 3);
  rig.dispatcher.Tick(TestTime(3));
  EXPECT_EQ(e0.dispatches.size(), 2u);
  rig.Open("e1", 4);
  rig.dispatcher.Tick(TestTime(4));
  EXPECT_EQ(rig.transport.To("e1")->dispatches.size(), 1u);
  rig.Answer("e1", 5);
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_EQ(rig.Slot(1, 1), rig.Of(1, 3));
  // A later one tells that it has them again.
  rig.AdoptEpoch({1, 8}, {rig.Expert("e0", 0, 3)}, 6);
  EXPECT_TRUE(rig.dispatcher.covered());
}

TEST(DispatcherSurvival, ANotHereFromBeforeTheTopologyIsOnlyAskedAgain) {
  DispatcherRig rig;
  rig.AdoptEpoch({1, 9}, {rig.Expert("e0", 0, 3)}, 0);
  rig.Open("e0");
  rig.Dispatch({0, 1});
  FakeChannel& e0 = *rig.transport.To("e0");
  rig.dispatcher.OnMessage(e0.id(), NotHere(e0.dispatches[0], {0}, {1, 8}), TestTime(1));
  EXPECT_TRUE(rig.dispatcher.covered());
  rig.dispatcher.Tick(TestTime(1));
  EXPECT_EQ(e0.dispatches.size(), 2u);
}

TEST(DispatcherSurvival, ANotHereForACallThatIsNotOutSaysNothing) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  FakeChannel& e0 = *rig.transport.To("e0");
  const SentMessage first = e0.dispatches[0];
  rig.Answer("e0");
  rig.dispatcher.OnMessage(e0.id(), NotHere(first, {0}, {1, 7}), TestTime(1));
  SentMessage foreign = first;
  foreign.header.call.sender = {9, 9};
  rig.dispatcher.OnMessage(e0.id(), NotHere(foreign, {0}, {1, 7}), TestTime(1));
  EXPECT_TRUE(rig.dispatcher.covered());
}

TEST(DispatcherSurvival, ANotHereMayNameWhatDoesNotExist) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  FakeChannel& e0 = *rig.transport.To("e0");
  rig.dispatcher.OnMessage(e0.id(), NotHere(e0.dispatches[0], {~uint64_t{0}, 4, 0}, {1, 7}),
                           TestTime(1));
  rig.WaitInVain(1);
  EXPECT_THAT(rig.lost, ElementsAre(Key(0)));
}

// ---- the budget

TEST(DispatcherSurvival, SendsNoMoreAgainThanTheBudgetAllows) {
  DispatcherRig rig;  // four tokens, ten a second, half a token for each first call
  rig.Adopt({rig.Expert("e0", 0, 3)});
  rig.Open("e0");
  rig.Dispatch({0, 1});
  FakeChannel& e0 = *rig.transport.To("e0");
  for (uint64_t i = 0; i < 20; ++i) {  // a worker that does not know what it holds
    if (e0.dispatches.size() == i + 1) {
      rig.dispatcher.OnMessage(e0.id(), NotHere(e0.dispatches[i], {}, {0, 1}), TestTime(1));
    }
    rig.dispatcher.Tick(TestTime(1));
  }
  EXPECT_EQ(e0.dispatches.size(), 5u) << "once, and four times again";
  EXPECT_EQ(rig.dispatcher.first_calls(), 1u);
  EXPECT_EQ(rig.dispatcher.retries(), 4u);
  const Time next = rig.dispatcher.NextWakeup();
  EXPECT_EQ(next, TestTime(101)) << "it asks to be woken for the next token";
  rig.dispatcher.Tick(next);
  EXPECT_EQ(e0.dispatches.size(), 6u);
  rig.Answer("e0", 200);
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
}

// ---- rows that break workers

// Every worker that is asked for expert 2 of row 1 breaks, in a fleet that replaces what it loses.
TEST(DispatcherSurvival, ARowThatBreaksThreeWorkersFailsAlone) {
  DispatcherRig rig;
  uint64_t life = 1;
  rig.Adopt({rig.Expert("e0", 0, 3, life)});
  rig.Open("e0");
  rig.Dispatch({0, 1, 0, 2, 1, 3});
  int64_t ms = 0;
  int broken = 0;
  size_t answered = 0;
  std::vector<size_t> sizes;
  while (rig.dispatcher.busy() && ms < 100000) {
    ms += 100;
    FakeChannel& e0 = *rig.transport.To("e0");
    if (e0.dispatches.size() > answered) {
      const SentMessage call = e0.dispatches[answered++];
      sizes.push_back(call.assignments.size());
      const bool poisoned = std::any_of(call.assignments.begin(), call.assignments.end(),
                                        [](const Assignment& a) { return a.expert == 2; });
      if (poisoned) {
        ++broken;
        Break(rig, "e0", ms);
        rig.Adopt({rig.Expert("e0", 0, 3, ++life)}, ms);
        rig.Open("e0", ms);
        answered = 0;
      } else {
        rig.dispatcher.OnMessage(e0.id(), rig.Combine(call), TestTime(ms));
      }
    }
    rig.DeliverSent();
    rig.dispatcher.Tick(TestTime(ms));
  }
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_EQ(broken, kCrashBudget);
  EXPECT_THAT(rig.lost, ElementsAre(Key(1)));
  EXPECT_EQ(rig.lost.at(1).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(rig.lost.at(1).message()),
              HasSubstr("layer 1 expert 2: 3 expert workers"));
  for (size_t i = 2; i < sizes.size(); ++i) EXPECT_EQ(sizes[i], 1u) << "asked alone";
  EXPECT_EQ(rig.Slot(0, 0), rig.Of(0, 0));
  EXPECT_EQ(rig.Slot(1, 0), rig.Of(1, 0)) << "the row's other expert was fine";
  EXPECT_EQ(rig.Slot(2, 1), rig.Of(2, 3));
}

TEST(DispatcherSurvival, OneLifeThatBreaksManyChannelsCountsOnce) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3)});
  rig.Open("e0");
  rig.Dispatch({0, 1});
  int64_t ms = 0;
  for (int i = 0; i < 4; ++i) {
    Break(rig, "e0", ms += 10);
    rig.dispatcher.Tick(TestTime(ms += 401));
    rig.Open("e0", ms);
    rig.dispatcher.Tick(TestTime(ms));
    EXPECT_EQ(rig.transport.To("e0")->dispatches.back().assignments.size(), 2u);
  }
  rig.Answer("e0", ms);
  EXPECT_THAT(rig.lost, IsEmpty());
}

TEST(DispatcherSurvival, SilenceIsNotHeldAgainstARow) {
  DispatcherRig rig;
  uint64_t life = 1;
  rig.Adopt({rig.Expert("e0", 0, 3, life)});
  rig.Open("e0");
  rig.Dispatch({0, 1});
  int64_t ms = 0;
  for (int i = 0; i < 2; ++i) {
    for (int tick = 0; tick < 4; ++tick) rig.dispatcher.Tick(TestTime(ms += 250));
    rig.Adopt({rig.Expert("e0", 0, 3, ++life)}, ms);
    rig.Open("e0", ms);
    rig.dispatcher.Tick(TestTime(ms));
  }
  rig.Answer("e0", ms);
  EXPECT_THAT(rig.lost, IsEmpty());
  EXPECT_EQ(rig.Slot(0, 1), rig.Of(0, 1));
}

// ---- what is no number

TEST(DispatcherSurvival, WhatIsNoNumberFailsItsRowAloneByWorkerAndExpert) {
  for (const float poison : {NAN, INFINITY, -std::numeric_limits<float>::infinity()}) {
    DispatcherRig rig;
    rig.OpenTwo();
    rig.Dispatch({0, 2, 1, 3});
    rig.Answer("e0");
    FakeChannel& e1 = *rig.transport.To("e1");
    rig.dispatcher.OnMessage(e1.id(),
                             CombineFor<float>(e1.dispatches[0],
                                               [&](float x, uint32_t e) {
                                                 return e == 3 ? poison : x + 1000 * (e + 1);
                                               }),
                             TestTime(1));
    rig.DeliverSent();
    EXPECT_FALSE(rig.dispatcher.busy());
    EXPECT_THAT(rig.lost, ElementsAre(Key(1)));
    EXPECT_EQ(rig.lost.at(1).code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(rig.lost.at(1).message()),
                HasSubstr("expert worker e1 gave for layer 1 expert 3"));
    EXPECT_EQ(rig.Slot(0, 1), rig.Of(0, 2));
    EXPECT_EQ(rig.Slot(1, 1), (std::vector<float>{0, 0}));
  }
}

}  // namespace
}  // namespace expertmesh
