// Who may talk to whom, and what both sides hear when not.
#include "absl/strings/match.h"
#include "tests/conformance/channel_suite.h"

namespace expertmesh {
namespace {

void ExpectSays(const absl::Status& status, absl::StatusCode code, absl::string_view text) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

constexpr absl::StatusCode kRefused = absl::StatusCode::kFailedPrecondition;

TEST_P(ChannelConformance, OpensBothEndsAndTellsWhoThePeerIs) {
  Connect();
  EXPECT_EQ(a0_.recorder.opened()[0].peer, e0_.hello);
  EXPECT_EQ(e0_.recorder.opened()[0].peer, a0_.hello);
}

TEST_P(ChannelConformance, RefusesWhatDoesNotGoTogetherByName) {
  struct Case {
    std::function<void(Hello&)> change;
    const char* text;
  };
  const Case cases[] = {
      {[](Hello& h) { h.wire_version = 2; },
       "refused by peer: wire version differs: ours is 1, the peer's is 2"},
      {[](Hello& h) { h.wire_dtype = DType::kBf16; },
       "refused by peer: wire dtype differs: ours is f32, the peer's is bf16"},
      {[](Hello& h) { h.model.low = 5; }, "refused by peer: model fingerprint differs"},
      {[](Hello& h) { h.hidden = 128; }, "refused by peer: row width (hidden) differs"},
  };
  for (const Case& one : cases) {
    Hello odd = a0_.hello;
    one.change(odd);
    a0_.transport->SetHello(odd);
    auto channel = Open(a0_, e0_);
    ExpectSays(a0_.recorder.WaitClosed(channel->id()), kRefused, one.text);
  }
  EXPECT_TRUE(a0_.recorder.opened().empty());
  EXPECT_TRUE(e0_.recorder.opened().empty());
  a0_.transport->SetHello(a0_.hello);
  Connect();  // none of it has harmed anybody
}

TEST_P(ChannelConformance, RefusesAPeerThatIsNotTheOneThatWasDialledAndTellsItSo) {
  struct Case {
    std::function<void(PeerExpectation&)> change;
    const char* text;
  };
  const Case cases[] = {
      {[](PeerExpectation& p) { p.name = "e9"; }, "name should be e9, is e0"},
      {[](PeerExpectation& p) { p.role = WorkerRole::kAttention; }, "role should be attention"},
      {[](PeerExpectation& p) {
         p.incarnation = {7, 99};
       },
       "incarnation should be 7#99, is 7#1"},
      {[](PeerExpectation& p) { p.compute_class.fingerprint = 1; },
       "compute class should be cpu-f32/0000000000000001"},
  };
  size_t count = 0;
  for (const Case& one : cases) {
    PeerExpectation expected = ExpectationOf(e0_.hello);
    one.change(expected);
    auto channel = a0_.transport->Open(fleet_->Address("e0"), expected);
    ExpectSays(a0_.recorder.WaitClosed(channel->id()), kRefused, one.text);
    auto there = e0_.recorder.WaitOpened(++count);
    const absl::Status told = e0_.recorder.WaitClosed(there->id());
    ExpectSays(told, kRefused, "refused by peer");
    ExpectSays(told, kRefused, one.text);
  }
  EXPECT_TRUE(a0_.recorder.opened().empty());
}

TEST_P(ChannelConformance, AsksTheAcceptingRoleAndPassesOnItsWords) {
  e0_.recorder.judge = [](const Hello& peer) {
    return absl::PermissionDeniedError(peer.name + " is not in the topology");
  };
  auto channel = Open(a0_, e0_);
  ExpectSays(a0_.recorder.WaitClosed(channel->id()), absl::StatusCode::kPermissionDenied,
             "refused by peer: a0 is not in the topology");
  EXPECT_TRUE(e0_.recorder.opened().empty());
}

TEST_P(ChannelConformance, RefusesWhileTheAcceptorHasNotJoined) {
  Worker& e1 = Add("e1", WorkerRole::kExpert, /*with_hello=*/false);
  auto channel = Open(a0_, e1);
  ExpectSays(a0_.recorder.WaitClosed(channel->id()), absl::StatusCode::kUnavailable, "not ready");
}

TEST_P(ChannelConformance, ClosesWhatIsOpenedToNobody) {
  const std::string address = fleet_->AddressOfNobody();
  auto channel = a0_.transport->Open(address, ExpectationOf(e0_.hello));
  ExpectSays(a0_.recorder.WaitClosed(channel->id()), absl::StatusCode::kUnavailable, address);
  EXPECT_EQ(a0_.recorder.closed_count(channel->id()), 1u);
  ExpectSays(channel->Send(MessageHeader(), {}, Event(), nullptr), absl::StatusCode::kUnavailable,
             "closed");
}

TEST_P(ChannelConformance, SendsNothingBeforeItIsOpen) {
  std::mutex gate;
  gate.lock();
  e0_.recorder.judge = [&](const Hello&) {
    std::lock_guard<std::mutex> wait(gate);
    return absl::OkStatus();
  };
  auto channel = Open(a0_, e0_);
  ExpectSays(channel->Send(MessageHeader(), {}, Event(), nullptr), absl::StatusCode::kUnavailable,
             "not open yet");
  gate.unlock();
  EXPECT_EQ(a0_.recorder.WaitOpened(), channel);
  e0_.recorder.WaitOpened();
}

TEST_P(ChannelConformance, CanBeClosedBeforeItIsOpen) {
  std::mutex gate;
  gate.lock();
  e0_.recorder.judge = [&](const Hello&) {
    std::lock_guard<std::mutex> wait(gate);
    return absl::OkStatus();
  };
  auto channel = Open(a0_, e0_);
  channel->Close(absl::CancelledError("changed my mind"));
  ExpectSays(a0_.recorder.WaitClosed(channel->id()), absl::StatusCode::kCancelled, "my mind");
  gate.unlock();
  Connect();
  EXPECT_EQ(a0_.recorder.closed_count(channel->id()), 1u);
}

TEST_P(ChannelConformance, NeverUsesAnIdAgain) {
  std::set<ChannelId> ids;
  for (size_t i = 1; i <= 5; ++i) {
    auto channel = Open(a0_, e0_);
    EXPECT_TRUE(ids.insert(channel->id()).second);
    a0_.recorder.WaitOpened(i);
    channel->Close(absl::CancelledError("next"));
    a0_.recorder.AwaitClosed(channel->id());
  }
}

}  // namespace
}  // namespace expertmesh
