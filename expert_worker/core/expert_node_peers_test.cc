// What peers do wrong, and what happens when they go: that channel ends, nobody else notices, and
// no memory is lost or used after its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "expert_worker/core/test_node.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(ExpertNodePeers, SaysWhichExpertsAreNotHereAndRunsNothingOfTheCall) {
  ExpertRig rig;
  rig.Serve();  // experts 0 to 2
  auto wrong = rig.Dial(5), right = rig.Dial(6);
  rig.Send(right, rig.Dispatch(6, 1, {0}));
  rig.Send(wrong, rig.Dispatch(5, 9, {3, 0, 3}, 2));
  ASSERT_EQ(wrong->absences.size(), 1u);
  const MessageHeader& header = wrong->absences[0].header;
  EXPECT_EQ(header.call, (CallId{{1, 5}, 9}));
  EXPECT_EQ(header.layer, 2u);
  EXPECT_THAT(wrong->absences[0].numbers, ElementsAre(3));
  EXPECT_FALSE(wrong->closed());
  rig.FinishPass();
  EXPECT_EQ(right->combines.size(), 1u);
  EXPECT_EQ(rig.compute.passes.size(), 1u) << "not one of its rows is computed";
  rig.Send(wrong, rig.Dispatch(5, 10, {0}, 2));
  rig.FinishPass();
  EXPECT_EQ(wrong->combines.size(), 1u);
}

TEST(ExpertNodePeers, RefusesLayersAndExpertsOfNoModel) {
  for (auto [layer, expert] : {std::pair<uint32_t, uint32_t>{0, 0},
                               {3, 0},
                               {1, 4},
                               {1, UINT32_MAX},
                               {UINT32_MAX, 0},
                               {1u << 31, 1u << 31}}) {
    ExpertRig rig;
    rig.Serve();
    auto channel = rig.Dial(5);
    rig.Send(channel, rig.Dispatch(5, 1, {expert}, layer));
    EXPECT_TRUE(channel->closed()) << layer << ", " << expert;
    EXPECT_EQ(rig.node.calls_in_hand(), 0u);
  }
}

TEST(ExpertNodePeers, RefusesRowsOfAnotherShape) {
  for (int what = 0; what < 2; ++what) {
    ExpertRig rig;
    rig.Serve();
    auto channel = rig.Dial(5);
    Message message = rig.Dispatch(5, 1, {0});
    if (what == 0) message.header.row_elements = 1;
    if (what == 1) message.header.dtype = DType::kBf16;
    rig.Send(channel, std::move(message));
    ASSERT_EQ(channel->closes.size(), 1u);
    EXPECT_EQ(channel->closes[0].code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(channel->closes[0].message()), HasSubstr("2 f32 expected"));
  }
}

TEST(ExpertNodePeers, RefusesACallWhoseCombineWouldNotFitAFrame) {
  const uint32_t hidden = kMaxRowElements;
  const size_t most = kMaxFrameBytes / (hidden * sizeof(float));
  ExpertRig rig(100, hidden);
  rig.Serve();
  auto channel = rig.Dial(5);
  Message message = rig.Dispatch(5, 1, {0});
  message.header.row_elements = hidden;
  message.rows = Payload(std::vector<std::byte>(hidden * sizeof(float)));
  message.assignments.assign(most + 1, Assignment{0, 0});  // one row, asked for again and again
  rig.Send(channel, std::move(message));
  ASSERT_EQ(channel->closes.size(), 1u);
  EXPECT_EQ(channel->closes[0].code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rig.node.calls_in_hand(), 0u);
}

TEST(ExpertNodePeers, TakesSoManyCallsOfOneChannelAndNoMore) {
  ExpertRig rig;
  rig.Serve();
  auto greedy = rig.Dial(5), other = rig.Dial(6);
  for (size_t call = 0; call < kMaxCallsPerPeer; ++call) {
    rig.Send(greedy, rig.Dispatch(5, call, {0}));
  }
  EXPECT_FALSE(greedy->closed());
  rig.Send(other, rig.Dispatch(6, 1, {0}));
  EXPECT_EQ(rig.node.calls_in_hand(), kMaxCallsPerPeer + 1);
  rig.Send(greedy, rig.Dispatch(5, kMaxCallsPerPeer, {0}));
  ASSERT_EQ(greedy->closes.size(), 1u);
  EXPECT_EQ(greedy->closes[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(rig.node.calls_in_hand(), kMaxCallsPerPeer + 1);
  EXPECT_FALSE(other->closed());
}

TEST(ExpertNodePeers, TakesSoManyBytesOfOneChannelAndNoMore) {
  const uint32_t hidden = kMaxRowElements;
  ExpertRig rig(100, hidden);
  rig.Serve();
  const auto call = [&](uint64_t number, uint64_t sequence, size_t asked) {
    Message message = rig.Dispatch(number, sequence, {0});
    message.header.row_elements = hidden;
    message.rows = Payload(std::vector<std::byte>(hidden * sizeof(float)));
    message.assignments.assign(asked, Assignment{0, 0});
    return message;
  };
  const size_t most = kMaxFrameBytes / (hidden * sizeof(float));
  auto greedy = rig.Dial(5), other = rig.Dial(6);
  rig.Send(greedy, call(5, 1, 1));  // it runs; the others wait, and take no memory yet
  rig.Send(greedy, call(5, 2, most));
  EXPECT_FALSE(greedy->closed());
  rig.Send(greedy, call(5, 2, most));  // the same again counts once
  EXPECT_FALSE(greedy->closed());
  rig.Send(greedy, call(5, 3, most));
  ASSERT_EQ(greedy->closes.size(), 1u);
  EXPECT_EQ(greedy->closes[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(greedy->closes[0].message()), HasSubstr("3 calls with"));
  rig.Send(other, call(6, 1, most));
  EXPECT_FALSE(other->closed());
}

TEST(ExpertNodePeers, ClosesOnWhatAnAttentionWorkerMayNotSend) {
  for (MessageKind kind : {MessageKind::kCombine, MessageKind::kPong}) {
    ExpertRig rig;
    rig.Serve();
    auto channel = rig.Dial(5);
    Message message;
    message.header.kind = kind;
    rig.Send(channel, std::move(message));
    ASSERT_EQ(channel->closes.size(), 1u);
    EXPECT_EQ(channel->closes[0].code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ExpertNodePeers, HearsNothingOnAChannelThatIsNotOpen) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Close(channel);
  rig.Send(channel, rig.Dispatch(5, 1, {0}));
  rig.Ping(channel, 1);
  rig.Close(channel);
  EXPECT_EQ(rig.node.calls_in_hand(), 0u);
  EXPECT_THAT(channel->pongs, IsEmpty());
}

// ---- pongs

TEST(ExpertNodePeers, PongsNameTheCallsOfThatChannelThatAreInHand) {
  ExpertRig rig(1);
  rig.Serve();
  auto a5 = rig.Dial(5), a6 = rig.Dial(6);
  rig.Ping(a5, 3);
  ASSERT_EQ(a5->pongs.size(), 1u);
  EXPECT_EQ(a5->pongs[0].header.ping, 3u);
  EXPECT_EQ(a5->pongs[0].header.lane, Lane::kControl);
  EXPECT_EQ(a5->pongs[0].header.call.sender, (Incarnation{1, 5})) << "whose calls they are";
  EXPECT_THAT(a5->pongs[0].numbers, IsEmpty());

  rig.Send(a5, rig.Dispatch(5, 11, {0}));
  rig.FinishPass();                        // its combine is on the way
  rig.Send(a5, rig.Dispatch(5, 12, {0}));  // in a pass
  rig.Send(a5, rig.Dispatch(5, 13, {0}));  // waiting
  rig.Send(a6, rig.Dispatch(6, 14, {0}));
  rig.Ping(a5, 4);
  EXPECT_THAT(a5->pongs.back().numbers, UnorderedElementsAre(11, 12, 13));
  rig.Ping(a6, 1);
  EXPECT_THAT(a6->pongs.back().numbers, ElementsAre(14));
  rig.Flush(a5);
  rig.Ping(a5, 5);
  EXPECT_THAT(a5->pongs.back().numbers, UnorderedElementsAre(12, 13)) << "11 has left";
}

TEST(ExpertNodePeers, APongThatCannotBeSentIsDropped) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  channel->send_error = absl::ResourceExhaustedError("window full");
  rig.Ping(channel, 1);
  EXPECT_FALSE(channel->closed());
}

// ---- a peer that goes

// In each test a6 goes on undisturbed, and in the end nothing is in hand.
class ExpertNodeAbandons : public testing::Test {
 protected:
  ExpertNodeAbandons() : rig_(2) {
    rig_.Serve();
    a5_ = rig_.Dial(5);
    a6_ = rig_.Dial(6);
  }
  void ExpectOtherServedAndNothingLeft(size_t combines) {
    while (a6_->combines.size() < combines) rig_.FinishPass();
    rig_.Flush(a6_);
    EXPECT_FALSE(a6_->closed());
    EXPECT_EQ(rig_.node.calls_in_hand(), 0u);
  }

  ExpertRig rig_;
  std::shared_ptr<PeerChannel> a5_, a6_;
};

TEST_F(ExpertNodeAbandons, CallsThatWait) {
  rig_.Send(a6_, rig_.Dispatch(6, 1, {0}));
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0}));
  rig_.Send(a5_, rig_.Dispatch(5, 2, {1}, 2));
  rig_.Close(a5_);
  EXPECT_EQ(rig_.node.calls_in_hand(), 1u);
  rig_.FinishPass();
  EXPECT_EQ(rig_.compute.passes.size(), 1u) << "nobody waits for more";
  ExpectOtherServedAndNothingLeft(1);
}

TEST_F(ExpertNodeAbandons, CallsOfThePassThatRunsWhenItIsDone) {
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0}));
  rig_.Send(a6_, rig_.Dispatch(6, 1, {0}));
  rig_.Close(a5_);
  EXPECT_EQ(rig_.node.calls_in_hand(), 2u) << "the pass reads its rows and writes its output";
  rig_.FinishPass();
  EXPECT_THAT(a5_->combines, IsEmpty());
  ExpectOtherServedAndNothingLeft(1);
}

TEST_F(ExpertNodeAbandons, ACallThatIsHalfDone) {
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0, 1, 2, 0, 1}));  // two rows are in the first pass
  rig_.Send(a6_, rig_.Dispatch(6, 1, {0}));
  rig_.Close(a5_);
  rig_.FinishPass();
  EXPECT_EQ(rig_.compute.passes.size(), 2u);
  EXPECT_EQ(rig_.compute.passes.back().size(), 1u) << "its other rows are not computed";
  ExpectOtherServedAndNothingLeft(1);
}

TEST_F(ExpertNodeAbandons, ACallBetweenTwoOfItsPasses) {
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0, 1, 2}, 1, Lane::kPrefill));
  rig_.Send(a6_, rig_.Dispatch(6, 1, {0}, 2));  // goes before the third row
  rig_.FinishPass();
  rig_.Close(a5_);
  EXPECT_EQ(rig_.node.calls_in_hand(), 1u) << "no pass has it now";
  ExpectOtherServedAndNothingLeft(1);
}

TEST_F(ExpertNodeAbandons, ACallWhoseCombineIsOnItsWayWhenTheTransportLetsGo) {
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0}));
  rig_.FinishPass();
  ASSERT_EQ(a5_->combines.size(), 1u);
  rig_.Close(a5_);
  EXPECT_EQ(rig_.node.calls_in_hand(), 1u) << "the transport may still read its rows";
  rig_.Flush(a5_);
  ExpectOtherServedAndNothingLeft(0);
}

TEST_F(ExpertNodeAbandons, ACallWhoseCombineHadLeftBeforeTheChannelClosed) {
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0}));
  rig_.FinishPass();
  rig_.Flush(a5_);
  rig_.Close(a5_);
  ExpectOtherServedAndNothingLeft(0);
}

TEST_F(ExpertNodeAbandons, TheChannelOfAPeerThatDoesNotRead) {
  for (const absl::Status& error :
       {absl::ResourceExhaustedError("window full"), absl::UnavailableError("closed")}) {
    auto deaf = rig_.Dial(7);
    deaf->send_error = error;
    rig_.Send(deaf, rig_.Dispatch(7, 1, {0}));
    rig_.Send(deaf, rig_.Dispatch(7, 2, {0}));
    rig_.Send(a6_, rig_.Dispatch(6, 1, {0}));
    while (!deaf->closed()) rig_.FinishPass();
    EXPECT_EQ(deaf->closes[0].code(), error.code());
    rig_.Close(deaf);  // the transport says so, a little later
    ExpectOtherServedAndNothingLeft(1);
    a6_->combines.clear();
  }
}

TEST_F(ExpertNodeAbandons, NothingOfAPeerThatDialsAgain) {
  rig_.Send(a5_, rig_.Dispatch(5, 1, {0}));
  rig_.Close(a5_);
  auto again = rig_.Dial(5);
  rig_.Send(again, rig_.Dispatch(5, 1, {0}));  // the abandoned one still runs
  rig_.FinishPass();
  rig_.FinishPass();
  EXPECT_EQ(again->combines.size(), 1u);
  rig_.Flush(again);
  ExpectOtherServedAndNothingLeft(0);
}

}  // namespace
}  // namespace expertmesh
