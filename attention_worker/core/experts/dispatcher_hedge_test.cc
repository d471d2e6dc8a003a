// A worker that takes long is not waited for alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "attention_worker/core/experts/test_rig.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::SizeIs;

constexpr int64_t kLate = 50;  // ms: hedge_after's default, since calls take nothing here

// Both workers hold all experts; each has answered a few calls, so that the usual time is known.
class DispatcherHedge : public testing::Test {
 protected:
  void SetUp() override {
    rig_.Adopt({rig_.Expert("e0", 0, 3), rig_.Expert("e1", 0, 3)});
    rig_.Open("e0");
    rig_.Open("e1");
    for (int i = 0; i < 20; ++i) {
      rig_.Dispatch({0, 1});
      AnswerAll();
    }
    ASSERT_FALSE(rig_.dispatcher.busy());
    Forget();
  }

  FakeChannel& Channel(const std::string& name) { return *rig_.transport.To(name); }
  std::vector<SentMessage>& Asked(const std::string& name) { return Channel(name).dispatches; }
  void Forget() {
    Asked("e0").clear();
    Asked("e1").clear();
  }
  void Answer(const std::string& name, size_t i, int64_t ms) {
    rig_.dispatcher.OnMessage(Channel(name).id(), rig_.Combine(Asked(name).at(i)), TestTime(ms));
  }
  // Its last call is answered NOT_HERE, and sent again.
  void RefuseLast(const std::string& name) {
    Message not_here;
    not_here.header = Asked(name).back().header;
    not_here.header.kind = MessageKind::kNotHere;
    not_here.header.epoch = {0, 1};
    rig_.dispatcher.OnMessage(Channel(name).id(), not_here, TestTime(0));
    rig_.dispatcher.Tick(TestTime(0));
  }
  void AnswerAll() {
    for (const char* name : {"e0", "e1"}) {
      if (!Asked(name).empty()) Answer(name, Asked(name).size() - 1, 0);
    }
    rig_.DeliverSent();
  }
  void ExpectRight(size_t slot, int32_t expert) {
    EXPECT_EQ(rig_.Slot(slot / 2, slot % 2), rig_.Of(slot / 2, expert));
  }

  DispatcherRig rig_;
};

TEST_F(DispatcherHedge, ALateCallIsAskedOfAReplicaAndTheFirstAnswerIsTaken) {
  rig_.Dispatch({0, 1});
  ASSERT_THAT(Asked("e0"), SizeIs(1));
  Answer("e1", 0, 1);
  EXPECT_EQ(rig_.dispatcher.NextWakeup(), TestTime(kLate));
  rig_.dispatcher.Tick(TestTime(kLate - 1));
  EXPECT_THAT(Asked("e1"), SizeIs(1));
  rig_.dispatcher.Tick(TestTime(kLate));
  ASSERT_THAT(Asked("e1"), SizeIs(2));
  EXPECT_EQ(Asked("e1")[1].assignments, Asked("e0")[0].assignments);
  EXPECT_EQ(rig_.dispatcher.hedges(), 1u);
  Answer("e1", 1, kLate + 1);
  rig_.DeliverSent();
  EXPECT_FALSE(rig_.dispatcher.busy());
  EXPECT_EQ(rig_.dispatcher.calls_out(), 1u) << "e0 still owes its answer";
  ExpectRight(0, 0);
  ExpectRight(1, 1);
  EXPECT_THAT(rig_.lost, IsEmpty());
}

TEST_F(DispatcherHedge, TheOtherAnswerIsDroppedAlsoInALaterLayer) {
  rig_.Dispatch({0, 1});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  Answer("e1", 1, kLate);
  rig_.DeliverSent();
  const Message late = rig_.Combine(Asked("e0")[0]);
  Forget();
  rig_.Dispatch({0, 1, 2, 3}, kLate + 1, {}, /*layer=*/2);
  EXPECT_THAT(Asked("e0"), IsEmpty()) << "others have what it is asked for, and it is late";
  ASSERT_THAT(Asked("e1"), SizeIs(1));
  EXPECT_EQ(rig_.dispatcher.calls_out(), 2u);
  rig_.dispatcher.OnMessage(Channel("e0").id(), late, TestTime(kLate + 2));
  EXPECT_EQ(rig_.Slot(0, 0), (std::vector<float>{kUntouched, kUntouched}));
  EXPECT_EQ(rig_.dispatcher.calls_out(), 1u) << "of the new layer";
  Answer("e1", 0, kLate + 3);
  rig_.DeliverSent();
  EXPECT_FALSE(rig_.dispatcher.busy());
  for (uint32_t slot = 0; slot < 4; ++slot) ExpectRight(slot, static_cast<int32_t>(slot));
  Forget();
  rig_.Dispatch({0, 1}, kLate + 4);
  EXPECT_THAT(Asked("e0"), SizeIs(1)) << "it owes nothing any more";
}

TEST_F(DispatcherHedge, TheLateOneMayStillBeFirst) {
  rig_.Dispatch({0, 1});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  Answer("e0", 0, kLate + 1);
  rig_.DeliverSent();
  EXPECT_FALSE(rig_.dispatcher.busy());
  ExpectRight(0, 0);
  Answer("e1", 1, kLate + 2);
  EXPECT_EQ(rig_.dispatcher.calls_out(), 0u);
  EXPECT_FALSE(rig_.dispatcher.busy());
}

TEST_F(DispatcherHedge, ACallThatIsHedgedAndBreaksWaitsForTheOther) {
  rig_.Dispatch({0, 1});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  rig_.dispatcher.OnClosed(Channel("e0").id(), absl::UnavailableError("reset"), TestTime(kLate));
  rig_.dispatcher.Tick(TestTime(kLate));
  EXPECT_THAT(Asked("e1"), SizeIs(2)) << "it is out there already";
  Answer("e1", 1, kLate + 1);
  rig_.DeliverSent();
  EXPECT_FALSE(rig_.dispatcher.busy());
  ExpectRight(0, 0);
}

TEST_F(DispatcherHedge, WhereBothBreakItIsSentAgain) {
  rig_.Dispatch({0, 1});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  for (const char* name : {"e0", "e1"}) {
    rig_.dispatcher.OnClosed(Channel(name).id(), absl::UnavailableError("reset"), TestTime(kLate));
  }
  rig_.dispatcher.Tick(TestTime(kLate));
  EXPECT_NE(rig_.dispatcher.suspended_since(), kNever);
  rig_.dispatcher.Tick(TestTime(kLate + 200));
  rig_.Open("e0", kLate + 200);
  rig_.dispatcher.Tick(TestTime(kLate + 200));
  ASSERT_THAT(Asked("e0"), SizeIs(1));
  Answer("e0", 0, kLate + 201);
  rig_.DeliverSent();
  EXPECT_FALSE(rig_.dispatcher.busy());
  ExpectRight(0, 0);
  EXPECT_THAT(rig_.lost, IsEmpty());
}

TEST_F(DispatcherHedge, WhatIsTheUsualTimeIsNotLate) {
  int64_t ms = 0;
  for (int i = 0; i < 3; ++i) {
    rig_.Dispatch({0, 1}, ms);
    Answer("e0", Asked("e0").size() - 1, ms + 200);
    Answer("e1", Asked("e1").size() - 1, ms + 200);
    rig_.DeliverSent();
    ms += 1000;
  }
  Forget();
  rig_.Dispatch({0, 1}, ms);
  Answer("e1", 0, ms + 1);
  rig_.dispatcher.Tick(TestTime(ms + 380));
  EXPECT_THAT(Asked("e1"), SizeIs(1));
  rig_.dispatcher.Tick(TestTime(ms + 400));
  EXPECT_THAT(Asked("e1"), SizeIs(2));
}

TEST_F(DispatcherHedge, LeavesHalfOfTheBudgetToWhatIsSentAgain) {
  rig_.Dispatch({0, 1});
  RefuseLast("e1");  // of four tokens
  RefuseLast("e0");
  ASSERT_EQ(rig_.dispatcher.retries(), 2u);
  rig_.dispatcher.Tick(TestTime(kLate));
  EXPECT_EQ(rig_.dispatcher.hedges(), 0u);
  EXPECT_TRUE(rig_.dispatcher.busy());
}

TEST_F(DispatcherHedge, WhatIsNoNumberIsLostOnlyIfItWasTaken) {
  rig_.Dispatch({0, 1});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  Answer("e1", 1, kLate + 1);
  rig_.DeliverSent();
  rig_.dispatcher.OnMessage(
      Channel("e0").id(),
      CombineFor<float>(Asked("e0")[0], [](float, uint32_t) { return std::nanf(""); }),
      TestTime(kLate + 2));
  EXPECT_THAT(rig_.lost, IsEmpty());
  ExpectRight(0, 0);
}

TEST_F(DispatcherHedge, WithoutAnotherReplicaItIsWaitedFor) {
  rig_.Adopt({rig_.Expert("e0", 0, 1), rig_.Expert("e1", 2, 3)});
  rig_.Dispatch({0, 2});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  EXPECT_THAT(Asked("e1"), SizeIs(1));
  EXPECT_EQ(rig_.dispatcher.hedges(), 0u);
  EXPECT_GT(rig_.dispatcher.NextWakeup(), TestTime(kLate));
  Answer("e0", 0, 900);
  rig_.DeliverSent();
  EXPECT_FALSE(rig_.dispatcher.busy());
}

TEST_F(DispatcherHedge, ANotHereOfAnEarlierLayerIsOfThatLayer) {
  rig_.Dispatch({0, 1});
  Answer("e1", 0, 1);
  rig_.dispatcher.Tick(TestTime(kLate));
  Answer("e1", 1, kLate);
  rig_.DeliverSent();
  Message not_here;
  not_here.header = Asked("e0")[0].header;
  not_here.header.kind = MessageKind::kNotHere;
  not_here.header.epoch = {1, 9};
  not_here.numbers = {0};
  rig_.dispatcher.OnClosed(Channel("e1").id(), absl::UnavailableError("reset"), TestTime(kLate));
  rig_.Dispatch({0, 1}, kLate, {}, /*layer=*/2);
  rig_.dispatcher.OnMessage(Channel("e0").id(), not_here, TestTime(kLate));
  EXPECT_TRUE(rig_.dispatcher.unreachable().Contains(1, 0));
  EXPECT_FALSE(rig_.dispatcher.unreachable().Contains(2, 0));
}

TEST_F(DispatcherHedge, AWorkerThatIsAlwaysSlowIsLateAgain) {
  int64_t ms = 0;
  for (int i = 0; i < 3; ++i, ms += 2000) {
    Forget();
    rig_.Dispatch({0, 1}, ms);
    Answer("e1", 0, ms + 1);
    rig_.dispatcher.Tick(TestTime(ms + kLate));
    ASSERT_THAT(Asked("e1"), SizeIs(2)) << i;
    Answer("e1", 1, ms + kLate);
    rig_.DeliverSent();
    Answer("e0", 0, ms + 1000);
  }
}

}  // namespace
}  // namespace expertmesh
