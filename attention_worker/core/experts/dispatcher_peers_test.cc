// Peers: who is dialled, when it counts as reachable, and when it is given up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attention_worker/core/experts/test_rig.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;

// The times at which channels to `name` were opened, in ms, woken only when the dispatcher asks;
// each open is refused at once.
std::vector<int64_t> Dials(DispatcherRig& rig, const std::string& name, int64_t until_ms) {
  std::vector<int64_t> dials;
  size_t seen = 0;
  int64_t ms = 0;
  while (ms <= until_ms) {
    for (; seen < rig.transport.channels.size(); ++seen) {
      FakeChannel& channel = *rig.transport.channels[seen];
      if (channel.expected.name == name) dials.push_back(ms);
      rig.dispatcher.OnClosed(channel.id(), absl::UnavailableError("nobody there"), TestTime(ms));
    }
    if (rig.dispatcher.NextWakeup() == kNever) break;
    ms = std::chrono::duration_cast<std::chrono::milliseconds>(rig.dispatcher.NextWakeup() -
                                                               TestTime(0))
             .count();
    rig.dispatcher.Tick(TestTime(ms));
  }
  return dials;
}

TEST(DispatcherPeers, DialsEveryReadyExpertWorkerAndSaysWhomItExpects) {
  DispatcherRig rig;
  Member attention = rig.Expert("a0", 0, 3), loading = rig.Expert("e9", 0, 3);
  attention.role = WorkerRole::kAttention;
  loading.state = WorkerState::kLoading;
  rig.Adopt({attention, rig.Expert("e0", 0, 1, 4), rig.Expert("e1", 2, 3), loading});
  ASSERT_EQ(rig.transport.channels.size(), 2u);
  const FakeChannel& e0 = *rig.transport.channels[0];
  EXPECT_EQ(e0.address, "at-e0");
  EXPECT_EQ(e0.expected.name, "e0");
  EXPECT_EQ(e0.expected.role, WorkerRole::kExpert);
  EXPECT_EQ(e0.expected.incarnation, (Incarnation{1, 4}));
  EXPECT_EQ(e0.expected.compute_class, (ComputeClass{"cpu-f32", 7}));
  rig.Adopt({rig.Expert("e0", 0, 1, 4), rig.Expert("e1", 2, 3)});
  EXPECT_EQ(rig.transport.channels.size(), 2u) << "once for each life";
}

TEST(DispatcherPeers, CountsAsCoveredOnlyWhatAnOpenChannelLeadsTo) {
  DispatcherRig rig;
  EXPECT_FALSE(rig.dispatcher.covered());
  EXPECT_EQ(rig.dispatcher.UnreachableText(), "no topology yet");
  rig.Adopt({rig.Expert("e0", 0, 1), rig.Expert("e1", 2, 3)});
  EXPECT_FALSE(rig.dispatcher.covered());
  rig.Open("e0");
  EXPECT_EQ(rig.dispatcher.UnreachableText(), "uncovered: layers 1-2: experts 2-3");
  rig.Open("e1");
  EXPECT_TRUE(rig.dispatcher.covered());
  rig.dispatcher.OnClosed(rig.transport.To("e0")->id(), absl::UnavailableError("reset"),
                          TestTime(1));
  EXPECT_FALSE(rig.dispatcher.covered());
  EXPECT_EQ(rig.dispatcher.UnreachableText(), "uncovered: layers 1-2: experts 0-1 (e0: reset)");
}

TEST(DispatcherPeers, DialsAgainWithLongerAndLongerWaits) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3)});
  EXPECT_THAT(Dials(rig, "e0", 5000), ElementsAre(0, 100, 300, 700, 1500, 2500, 3500, 4500));
}

TEST(DispatcherPeers, WaitsBrieflyAgainOnceAChannelWasOpen) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3)});
  Dials(rig, "e0", 3000);  // dialled once more at 3500
  rig.Open("e0", 3600);
  rig.dispatcher.OnClosed(rig.transport.To("e0")->id(), absl::UnavailableError("reset"),
                          TestTime(3600));
  EXPECT_EQ(rig.dispatcher.NextWakeup(), TestTime(3700));
}

TEST(DispatcherPeers, GivesUpAnOpenThatTakesTooLong) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3)});
  FakeChannel& first = *rig.transport.channels[0];
  EXPECT_EQ(rig.dispatcher.NextWakeup(), TestTime(3000));
  rig.dispatcher.Tick(TestTime(2999));
  EXPECT_FALSE(first.closed());
  rig.dispatcher.Tick(TestTime(3000));
  EXPECT_TRUE(first.closed());
  EXPECT_THAT(rig.dispatcher.UnreachableText(), HasSubstr("e0: no handshake in time"));
  rig.dispatcher.Tick(TestTime(3100));
  EXPECT_EQ(rig.transport.channels.size(), 2u);
  rig.dispatcher.OnOpened(rig.transport.channels[0], Hello(), TestTime(3101));
  EXPECT_FALSE(rig.dispatcher.covered()) << "too late: it is closed";
  rig.Open("e0", 3102);
  EXPECT_TRUE(rig.dispatcher.covered());
}

TEST(DispatcherPeers, GoesOnWithANewerLifeAlsoInTheMidstOfACall) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3, 1)});
  FakeChannel& older = rig.Open("e0");
  rig.Dispatch({0, 1});
  rig.Adopt({rig.Expert("e0", 0, 3, 2)}, 10);
  EXPECT_TRUE(older.closed());
  EXPECT_THAT(rig.lost, IsEmpty());
  ASSERT_EQ(rig.transport.channels.size(), 2u) << "dialled at once";
  EXPECT_EQ(rig.transport.channels[1]->expected.incarnation, (Incarnation{1, 2}));
  EXPECT_FALSE(rig.dispatcher.covered());
  rig.dispatcher.OnClosed(older.id(), absl::CancelledError("by us"), TestTime(11));
  FakeChannel& newer = rig.Open("e0", 12);
  EXPECT_TRUE(rig.dispatcher.covered());
  rig.dispatcher.Tick(TestTime(13));
  EXPECT_EQ(newer.dispatches.size(), 1u) << "the older one's call";
  rig.Answer("e0", 14);
  EXPECT_EQ(rig.Slot(0, 1), rig.Of(0, 1));
}

TEST(DispatcherPeers, ClosesAChannelThatOpensWhenNobodyWantsItAnyMore) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 3, 1)});
  std::shared_ptr<FakeChannel> older = rig.transport.To("e0");
  rig.Adopt({rig.Expert("e0", 0, 3, 2)}, 10);
  older->closes.clear();
  rig.dispatcher.OnOpened(older, Hello(), TestTime(11));
  EXPECT_TRUE(older->closed());
  EXPECT_FALSE(rig.dispatcher.covered());
}

TEST(DispatcherPeers, LetsAWorkerThatLeftTheTopologyFinishItsCalls) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2});
  rig.Adopt({rig.Expert("e1", 2, 3)}, 10);
  EXPECT_FALSE(rig.dispatcher.covered()) << "nothing new goes to it";
  rig.dispatcher.Tick(TestTime(11));
  FakeChannel& e0 = *rig.transport.To("e0");
  EXPECT_FALSE(e0.closed());
  rig.Answer("e0", 12);
  EXPECT_EQ(rig.Slot(0, 0), rig.Of(0, 0));
  EXPECT_THAT(rig.lost, IsEmpty());
  rig.dispatcher.Tick(TestTime(13));
  EXPECT_TRUE(e0.closed());
  rig.Answer("e1", 14);
  rig.DeliverSent();
  EXPECT_FALSE(rig.dispatcher.busy());
}

TEST(DispatcherPeers, ForgetsAWorkerThatLeftTheTopologyWhenItsChannelCloses) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1});
  rig.Adopt({rig.Expert("e1", 2, 3)}, 10);
  rig.dispatcher.OnClosed(rig.transport.To("e0")->id(), absl::UnavailableError("reset"),
                          TestTime(11));
  const size_t opened = rig.transport.channels.size();
  rig.WaitInVain(12);
  EXPECT_THAT(rig.lost, ElementsAre(Key(0)));
  rig.dispatcher.Tick(TestTime(60000));
  EXPECT_EQ(rig.transport.channels.size(), opened) << "nobody dials it again";
  EXPECT_EQ(rig.dispatcher.NextWakeup(), kNever);
}

TEST(DispatcherPeers, AsksNothingNewOfAWorkerThatLeftTheTopology) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Adopt({rig.Expert("e1", 2, 3)}, 10);
  rig.Dispatch({0, 2}, 11);
  rig.WaitInVain(12);
  EXPECT_THAT(rig.transport.To("e0")->dispatches, IsEmpty());
  EXPECT_THAT(rig.lost, ElementsAre(Key(0)));
}

TEST(DispatcherPeers, TakesAWorkerBackThatReturnsToTheTopology) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Adopt({rig.Expert("e1", 2, 3)}, 10);
  rig.dispatcher.Tick(TestTime(11));  // its channel is closed
  rig.Adopt({rig.Expert("e0", 0, 1), rig.Expert("e1", 2, 3)}, 20);
  rig.Open("e0", 21);
  EXPECT_TRUE(rig.dispatcher.covered());
  rig.Dispatch({0, 2}, 22);
  EXPECT_EQ(rig.transport.To("e0")->dispatches.size(), 1u);
}

TEST(DispatcherPeers, FollowsWhatAWorkerHolds) {
  DispatcherRig rig;
  rig.Adopt({rig.Expert("e0", 0, 1)});
  rig.Open("e0");
  rig.Adopt({rig.Expert("e0", 0, 3)}, 10);
  EXPECT_TRUE(rig.dispatcher.covered());
  rig.Dispatch({0, 3}, 11);
  EXPECT_EQ(rig.transport.To("e0")->dispatches[0].assignments.size(), 2u);
}

TEST(DispatcherPeers, PingsWhileACallIsOutAndIsQuietOtherwise) {
  DispatcherRig rig;
  rig.OpenTwo();
  EXPECT_EQ(rig.dispatcher.NextWakeup(), kNever);
  rig.Dispatch({0, 1}, 0);
  EXPECT_EQ(rig.dispatcher.NextWakeup(), TestTime(250));
  rig.dispatcher.Tick(TestTime(250));
  FakeChannel& e0 = *rig.transport.To("e0");
  ASSERT_EQ(e0.pings.size(), 1u);
  EXPECT_EQ(e0.pings[0].header.ping, 1u);
  EXPECT_EQ(e0.pings[0].header.lane, Lane::kControl);
  EXPECT_EQ(e0.pings[0].header.call.sender, kRigIncarnation);
  EXPECT_THAT(rig.transport.To("e1")->pings, IsEmpty()) << "nothing is out there";
  rig.Answer("e0", 300);
  EXPECT_EQ(rig.dispatcher.NextWakeup(), kNever);
  rig.dispatcher.Tick(TestTime(60000));
  EXPECT_EQ(e0.pings.size(), 1u);
  EXPECT_FALSE(e0.closed());
}

TEST(DispatcherPeers, LosesAPeerThatIsSilentAndNoOther) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2}, 0);
  rig.Answer("e1", 1);
  rig.DeliverSent();
  for (int64_t ms = 250; ms <= 750; ms += 250) rig.dispatcher.Tick(TestTime(ms));
  EXPECT_TRUE(rig.dispatcher.busy());
  rig.dispatcher.Tick(TestTime(1000));
  EXPECT_THAT(rig.dispatcher.UnreachableText(), HasSubstr("e0: silent for 1000 ms"));
  EXPECT_TRUE(rig.dispatcher.busy()) << "it may come back";
  EXPECT_TRUE(rig.transport.To("e0")->closed());
  EXPECT_FALSE(rig.transport.To("e1")->closed());
}

// A pong, as an expert worker would send it to `sender`.
Message Pong(uint64_t ping, std::vector<uint64_t> calls, Incarnation sender = kRigIncarnation) {
  Message pong;
  pong.header.kind = MessageKind::kPong;
  pong.header.ping = ping;
  pong.header.call.sender = sender;
  pong.numbers = std::move(calls);
  return pong;
}

TEST(DispatcherPeers, WaitsForASlowPeerThatHasTheCallInHand) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1}, 0);
  FakeChannel& e0 = *rig.transport.To("e0");
  const uint64_t call = e0.dispatches[0].header.call.sequence;
  for (int64_t ms = 250; ms <= 20000; ms += 250) {
    rig.dispatcher.Tick(TestTime(ms));
    rig.dispatcher.OnMessage(e0.id(), Pong(e0.pings.back().header.ping, {call}), TestTime(ms + 1));
  }
  EXPECT_FALSE(e0.closed()) << "slow is not dead";
  EXPECT_THAT(rig.lost, IsEmpty());
}

TEST(DispatcherPeers, LosesAChannelOnWhichACallWasLost) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1}, 0);
  FakeChannel& e0 = *rig.transport.To("e0");
  for (int64_t ms = 250; ms <= 750; ms += 250) {
    rig.dispatcher.Tick(TestTime(ms));
    rig.dispatcher.OnMessage(e0.id(), Pong(e0.pings.back().header.ping, {}), TestTime(ms + 1));
  }
  rig.dispatcher.Tick(TestTime(752));
  EXPECT_TRUE(e0.closed());
  EXPECT_THAT(rig.dispatcher.UnreachableText(), HasSubstr("is unknown to the peer"));
}

TEST(DispatcherPeers, LearnsNothingFromAPongForAnEarlierLifeOfItsOwn) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1}, 0);
  FakeChannel& e0 = *rig.transport.To("e0");
  for (int64_t ms = 250; ms <= 900; ms += 250) {
    rig.dispatcher.Tick(TestTime(ms));
    rig.dispatcher.OnMessage(e0.id(), Pong(e0.pings.back().header.ping, {}, {3, 4}),
                             TestTime(ms + 1));
  }
  rig.dispatcher.Tick(TestTime(990));
  EXPECT_FALSE(e0.closed());
}

TEST(DispatcherPeers, ClosesOnWhatAnExpertWorkerMayNotSend) {
  for (MessageKind kind : {MessageKind::kDispatch, MessageKind::kPing}) {
    DispatcherRig rig;
    rig.OpenTwo();
    rig.Dispatch({0, 2});
    Message wrong;
    wrong.header.kind = kind;
    rig.dispatcher.OnMessage(rig.transport.To("e0")->id(), std::move(wrong), TestTime(1));
    ASSERT_EQ(rig.transport.To("e0")->closes.size(), 1u);
    EXPECT_EQ(rig.transport.To("e0")->closes[0].code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(rig.transport.To("e1")->closed());
  }
}

TEST(DispatcherPeers, HearsNothingOnAChannelThatIsNotIts) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 2});
  Message combine = rig.Combine(rig.transport.To("e0")->dispatches[0]);
  rig.dispatcher.OnMessage(77, std::move(combine), TestTime(1));
  rig.dispatcher.OnClosed(77, absl::UnavailableError("x"), TestTime(1));
  EXPECT_EQ(rig.dispatcher.calls_out(), 2u);
  EXPECT_THAT(rig.lost, IsEmpty());
}

TEST(DispatcherPeers, MissesAPingThatFindsAFullWindowAndLosesAClosedChannel) {
  DispatcherRig rig;
  rig.OpenTwo();
  rig.Dispatch({0, 1}, 0);
  FakeChannel& e0 = *rig.transport.To("e0");
  e0.send_error = absl::ResourceExhaustedError("window full");
  rig.dispatcher.Tick(TestTime(250));
  EXPECT_FALSE(e0.closed()) << "it may yet answer";
  e0.send_error = absl::UnavailableError("closed");
  rig.dispatcher.Tick(TestTime(500));
  EXPECT_TRUE(e0.closed());
  EXPECT_EQ(rig.dispatcher.calls_out(), 0u);
}

}  // namespace
}  // namespace expertmesh
