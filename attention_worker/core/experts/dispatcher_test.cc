// Rows: where they go, and where what comes back lands.
#include "attention_worker/core/experts/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "attention_worker/core/experts/test_rig.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;

const std::vector<float> kZero = {0, 0};

TEST(Dispatcher, CutsALayerIntoOneCallForEachWorker) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2, 1, 0, 3, 2}, 0, {}, 2, Lane::kPrefill);
  const FakeChannel& e0 = *rig.transport.To("e0");
  const FakeChannel& e1 = *rig.transport.To("e1");
  ASSERT_EQ(e0.dispatches.size(), 1u);
  ASSERT_EQ(e1.dispatches.size(), 1u);
  const SentMessage& to_e0 = e0.dispatches[0];
  EXPECT_THAT(to_e0.assignments, ElementsAre(Assignment{0, 0}, Assignment{1, 1}, Assignment{1, 0}));
  EXPECT_EQ(to_e0.header.rows, 2u) << "row 1 goes once, for both of its experts";
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(to_e0.Element<float>(i), (i / 2) * 10.0f + i % 2);
  const SentMessage& to_e1 = e1.dispatches[0];
  EXPECT_THAT(to_e1.assignments, ElementsAre(Assignment{0, 2}, Assignment{1, 3}, Assignment{1, 2}));
  EXPECT_THAT(std::vector<float>({to_e1.Element<float>(0), to_e1.Element<float>(2)}),
              ElementsAre(0, 20));

  MessageHeader expected;
  expected.kind = MessageKind::kDispatch;
  expected.lane = Lane::kPrefill;
  expected.dtype = DType::kF32;
  expected.call = to_e0.header.call;
  expected.epoch = {1, 1};
  expected.layer = 2;
  expected.rows = 2;
  expected.row_elements = 2;
  EXPECT_EQ(to_e0.header, expected);
  EXPECT_EQ(to_e0.header.call.sender, kRigIncarnation);
  EXPECT_NE(to_e0.header.call, to_e1.header.call);
}

TEST(Dispatcher, PutsEveryRowIntoItsSlotInWhateverOrderCombinesCome) {
  for (bool reversed : {false, true}) {
    DispatcherRig rig;
    rig.OpenTwo();
    const std::vector<int32_t> experts = {0, 2, 1, 0, 3, 2};
    rig.Dispatch(experts);
    rig.Answer(reversed ? "e1" : "e0");
    EXPECT_TRUE(rig.dispatcher.busy());
    rig.Answer(reversed ? "e0" : "e1");
    for (size_t slot = 0; slot < experts.size(); ++slot) {
      EXPECT_EQ(rig.Slot(slot / 2, slot % 2), rig.Of(slot / 2, experts[slot])) << slot;
    }
    EXPECT_THAT(rig.lost, IsEmpty());
    EXPECT_EQ(rig.dispatcher.calls_out(), 0u);
  }
}

TEST(Dispatcher, IsBusyUntilEverySlotIsFilledAndNoRowIsReadAnyMore) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.transport.To("e1")->hold_sent = true;
  EXPECT_FALSE(rig.dispatcher.busy());
  rig.Dispatch({0, 2});
  rig.Answer("e0");
  rig.Answer("e1");
  rig.DeliverSent();
  EXPECT_TRUE(rig.dispatcher.busy()) << "the transport may still read the rows for e1";
  rig.transport.To("e1")->held[0](absl::OkStatus());
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
}

TEST(Dispatcher, SplitsRowsOverTheReplicasThatAreOpen) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3), rig.Expert("e1", 0, 1)});
  rig.Open("e1");
  rig.Dispatch({0, 1});
  EXPECT_THAT(rig.transport.To("e0")->dispatches, IsEmpty()) << "not open yet";
  EXPECT_EQ(rig.transport.To("e1")->dispatches.back().assignments.size(), 2u);
  rig.Answer("e1");
  rig.DeliverSent();
  rig.Open("e0");
  rig.Dispatch({0, 2, 0, 3, 0, 1, 1, 0});  // 2 and 3 are e0's alone
  EXPECT_EQ(rig.transport.To("e0")->dispatches.back().assignments.size(), 4u);
  EXPECT_EQ(rig.transport.To("e1")->dispatches.back().assignments.size(), 4u);
  rig.Answer("e0");
  rig.Answer("e1");
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_EQ(rig.Slot(3, 1), rig.Of(3, 0));
}

TEST(Dispatcher, NeverUsesACallIdTwice) {
  DispatcherRig rig;
  rig.OpenTwo();
  std::set<CallId> seen;
  for (int i = 0; i < 50; ++i) {
    rig.Dispatch({0, 2});
    for (const char* name : {"e0", "e1"}) {
      EXPECT_TRUE(seen.insert(rig.transport.To(name)->dispatches.back().header.call).second);
      if (i % 5 != 0 || name[1] == '0') rig.Answer(name);
    }
    rig.DeliverSent();
    if (i % 5 == 0) {  // some calls end with their channel, and are sent again
      rig.dispatcher.OnClosed(rig.transport.To("e1")->id(), absl::UnavailableError("x"),
                              TestTime(i * 2000));
      rig.dispatcher.Tick(TestTime(i * 2000 + 1000));
      rig.Open("e1");
      rig.dispatcher.Tick(TestTime(i * 2000 + 1001));
      EXPECT_TRUE(seen.insert(rig.transport.To("e1")->dispatches.back().header.call).second);
      rig.Answer("e1");
      rig.DeliverSent();
    }
    EXPECT_FALSE(rig.dispatcher.busy());
  }
}

TEST(Dispatcher, LosesARowWhoseExpertNobodyHoldsByName) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 1)});
  rig.Open("e0");
  rig.Dispatch({0, 1, 1, 3});
  EXPECT_THAT(rig.lost, IsEmpty()) << "not yet";
  rig.WaitInVain();
  EXPECT_THAT(rig.lost, ElementsAre(Key(1)));
  const absl::Status& why = rig.lost.at(1);
  EXPECT_EQ(why.code(), absl::StatusCode::kAborted) << "another attention worker knows no better";
  EXPECT_THAT(std::string(why.message()), HasSubstr("layer 1 expert 3 has no reachable worker"));
  EXPECT_THAT(std::string(why.message()), HasSubstr("uncovered: layers 1-2: experts 2-3"));
  EXPECT_TRUE(RetryAfter(why).has_value());
  rig.Answer("e0");
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy()) << "the step goes on";
  EXPECT_EQ(rig.Slot(1, 1), kZero);
  EXPECT_EQ(rig.Slot(0, 1), rig.Of(0, 1));
}

TEST(Dispatcher, LosesTheRowsOfAClosedChannelAloneAndSaysWhoseAndWhatIsUncovered) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1, 0, 2, 3, 2});
  rig.dispatcher.OnClosed(rig.transport.To("e1")->id(), absl::UnavailableError("reset"),
                          TestTime(5));
  EXPECT_THAT(rig.lost, IsEmpty()) << "not yet";
  rig.WaitInVain(5);
  EXPECT_THAT(rig.lost, ElementsAre(Key(1), Key(2)));
  const absl::Status& why = rig.lost.at(1);
  EXPECT_EQ(why.code(), absl::StatusCode::kAborted) << "another attention worker knows no better";
  EXPECT_THAT(std::string(why.message()), HasSubstr("layer 1 expert 2 has no reachable worker"));
  EXPECT_THAT(std::string(why.message()), HasSubstr("uncovered: layers 1-2: experts 2-3"));
  EXPECT_THAT(std::string(why.message()), HasSubstr("e1: reset"));
  EXPECT_TRUE(RetryAfter(why).has_value());
  rig.Answer("e0");
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_EQ(rig.Slot(1, 1), kZero);
  EXPECT_EQ(rig.Slot(2, 0), kZero);
  EXPECT_EQ(rig.Slot(1, 0), rig.Of(1, 0));
}

TEST(Dispatcher, IgnoresACombineThatComesAfterItsChannelClosed) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2});
  rig.dispatcher.OnClosed(rig.transport.To("e1")->id(), absl::UnavailableError("reset"),
                          TestTime(5));
  rig.Answer("e1");  // it was on its way
  EXPECT_EQ(rig.Slot(0, 1), (std::vector<float>{kUntouched, kUntouched}));
  rig.Answer("e0");
  rig.WaitInVain(6);
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_EQ(rig.Slot(0, 1), kZero);
}

TEST(Dispatcher, IgnoresACombineOfAnEarlierLifeOfItsOwn) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  Message combine = rig.Combine(rig.transport.To("e0")->dispatches[0]);
  combine.header.call.sender = {3, 4};  // the same sequence number, of another life
  rig.dispatcher.OnMessage(rig.transport.To("e0")->id(), std::move(combine), TestTime(1));
  EXPECT_EQ(rig.dispatcher.calls_out(), 1u);
  EXPECT_EQ(rig.Slot(0, 0), (std::vector<float>{kUntouched, kUntouched}));
}

TEST(Dispatcher, IgnoresACombineOfACallThatItDoesNotKnow) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  rig.DeliverSent();
  for (uint64_t unknown = 1000; unknown < 1010; ++unknown) {
    Message combine = rig.Combine(rig.transport.To("e0")->dispatches[0]);
    combine.header.call.sequence += unknown;
    rig.dispatcher.OnMessage(rig.transport.To("e0")->id(), std::move(combine), TestTime(1));
  }
  EXPECT_TRUE(rig.dispatcher.busy());
  EXPECT_EQ(rig.dispatcher.calls_out(), 1u);
}

TEST(Dispatcher, IgnoresACombineOfAWorkerThatWasNotAsked) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  Message combine = rig.Combine(rig.transport.To("e0")->dispatches[0]);
  rig.dispatcher.OnMessage(rig.transport.To("e1")->id(), std::move(combine), TestTime(1));
  EXPECT_EQ(rig.dispatcher.calls_out(), 1u);
  EXPECT_EQ(rig.Slot(0, 0), (std::vector<float>{kUntouched, kUntouched}));
}

TEST(Dispatcher, IgnoresACombineThatComesAgain) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2});
  const SentMessage first = rig.transport.To("e0")->dispatches[0];
  const ChannelId e0 = rig.transport.To("e0")->id();
  rig.DeliverSent();
  for (int i = 0; i < 3; ++i) {
    rig.dispatcher.OnMessage(e0, rig.Combine(first), TestTime(1));
    EXPECT_TRUE(rig.dispatcher.busy()) << "e1 has not answered";
  }
  rig.Answer("e1");
  EXPECT_FALSE(rig.dispatcher.busy());
  rig.Dispatch({1, 3}, 10, {}, 2);
  rig.dispatcher.OnMessage(e0, rig.Combine(first), TestTime(11));  // of the layer before
  EXPECT_EQ(rig.Slot(0, 0), (std::vector<float>{kUntouched, kUntouched}));
  EXPECT_TRUE(rig.dispatcher.busy());
}

TEST(Dispatcher, DropsACombineOfAnotherShapeAndTakesTheRightOne) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  const FakeChannel& e0 = *rig.transport.To("e0");
  const std::vector<std::function<void(MessageHeader&)>> changes = {
      [](MessageHeader& h) { h.rows = 1; }, [](MessageHeader& h) { h.rows = 3; },
      [](MessageHeader& h) { h.rows = 0; }, [](MessageHeader& h) { h.row_elements = 1; },
      [](MessageHeader& h) { h.dtype = DType::kBf16; }};
  for (const auto& change : changes) {
    Message combine = rig.Combine(e0.dispatches[0]);
    change(combine.header);
    rig.dispatcher.OnMessage(e0.id(), std::move(combine), TestTime(1));
    EXPECT_TRUE(rig.dispatcher.busy());
    EXPECT_EQ(rig.Slot(0, 0), (std::vector<float>{kUntouched, kUntouched}));
  }
  EXPECT_FALSE(e0.closed());
  rig.Answer("e0");
  EXPECT_EQ(rig.Slot(0, 0), rig.Of(0, 0));
}

TEST(Dispatcher, AsksNothingForRowsThatNobodyWaitsForAndZeroesTheirSlots) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1, 0, 2, 1, 3}, 0, {1, 0, 1});
  EXPECT_THAT(rig.transport.To("e0")->dispatches[0].assignments, ElementsAre(Assignment{0, 0}));
  EXPECT_THAT(rig.transport.To("e1")->dispatches[0].assignments, ElementsAre(Assignment{0, 2}));
  for (size_t row : {0, 2}) {
    for (size_t k : {0, 1}) EXPECT_EQ(rig.Slot(row, k), kZero);
  }
  rig.Answer("e0");
  rig.Answer("e1");
  EXPECT_EQ(rig.Slot(1, 1), rig.Of(1, 2));
  EXPECT_THAT(rig.lost, IsEmpty());
}

TEST(Dispatcher, IsDoneAtOnceWhenThereIsNothingToAsk) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({});
  EXPECT_FALSE(rig.dispatcher.busy());
  rig.Dispatch({0, 1}, 0, {1});
  EXPECT_FALSE(rig.dispatcher.busy());
  EXPECT_THAT(rig.transport.To("e0")->dispatches, IsEmpty());
}

TEST(Dispatcher, WhatCannotBeSentCostsTheChannelAndWaits) {
  for (const absl::Status& error :
       {absl::UnavailableError("closed"), absl::ResourceExhaustedError("window full")}) {
    DispatcherRig rig;
    rig.OpenTwo();
    const std::shared_ptr<FakeChannel> e0 = rig.transport.To("e0");
    e0->send_error = error;
    rig.Dispatch({0, 2, 2, 3});
    EXPECT_TRUE(e0->closed()) << "a peer that does not read loses its channel";
    rig.WaitInVain();
    EXPECT_THAT(rig.lost, ElementsAre(Key(0)));
    EXPECT_THAT(std::string(rig.lost.at(0).message()), HasSubstr(std::string(error.message())));
    EXPECT_FALSE(rig.transport.To("e1")->closed()) << "and slows nobody";
    EXPECT_EQ(rig.Slot(0, 0), kZero);
    rig.Answer("e1");
    rig.DeliverSent();
    EXPECT_FALSE(rig.dispatcher.busy());
    EXPECT_EQ(rig.Slot(0, 1), rig.Of(0, 2)) << "the other worker was asked";
  }
}

// Calls reuse the memory of ended ones; nothing of one layer may be left over in another.
TEST(Dispatcher, KeepsLayersApartWhateverTheirShapes) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    DispatcherRig rig;
    rig.OpenTwo();
    for (int layer = 0; layer < 20; ++layer) {
      const size_t rows = random() % 6;
      std::vector<int32_t> experts;
      std::vector<uint8_t> skip;
      for (size_t slot = 0; slot < rows * 2; ++slot) {
        experts.push_back(static_cast<int32_t>(random() % (layer % 3 == 0 ? 2 : 4)));
      }
      for (size_t row = 0; row < rows; ++row) skip.push_back(random() % 4 == 0);
      for (auto& channel : rig.transport.channels) channel->dispatches.clear();
      rig.Dispatch(experts, 0, skip);
      for (const char* name : {"e0", "e1"}) {
        if (rig.transport.To(name)->dispatches.empty()) continue;
        ASSERT_LE(rig.transport.To(name)->dispatches[0].header.rows, rows);
        rig.Answer(name);
      }
      rig.DeliverSent();
      ASSERT_FALSE(rig.dispatcher.busy());
      for (size_t slot = 0; slot < rows * 2; ++slot) {
        const size_t row = slot / 2;
        ASSERT_EQ(rig.Slot(row, slot % 2), skip[row] ? kZero : rig.Of(row, experts[slot]));
      }
    }
  }
}

// While Lost is told of a row, its sequence marks its other rows: they are not waited for any more.
TEST(Dispatcher, HeedsRowsThatAreSkippedWhileItGivesUp) {
  std::vector<uint8_t> skip = {0, 0};  // its memory stays where it is
  FakeTransport transport;
  FakeHost host;
  int told = 0;
  const auto lost = [&](int32_t, const absl::Status&) {
    ++told;
    skip[0] = skip[1] = 1;
  };
  Dispatcher dispatcher(
      {.coverage_wait = Milliseconds(kRigWait), .row_bytes = 8, .row_elements = 2, .top_k = 2},
      &transport, &host, lost);
  dispatcher.AdoptTopology(TopologyOf(kRigGrid, {ExpertMember("e0", kRigGrid, 0, 1)}), TestTime(0));
  const std::vector<int32_t> experts = {3, 2, 3, 2};
  std::vector<float> hidden(4), slots(8, kUntouched);
  LayerRows rows;
  rows.layer = 1;
  rows.rows = 2;
  rows.experts = experts;
  rows.hidden = reinterpret_cast<const std::byte*>(hidden.data());
  rows.slots = reinterpret_cast<std::byte*>(slots.data());
  rows.skip = skip;
  dispatcher.Dispatch(rows, TestTime(0));
  dispatcher.Tick(TestTime(0));
  dispatcher.Tick(TestTime(kRigWait));
  EXPECT_EQ(told, 1) << "what else its sequence misses is no news";
  EXPECT_FALSE(dispatcher.busy());
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(slots[i], 0) << i;
}

}  // namespace
}  // namespace expertmesh
