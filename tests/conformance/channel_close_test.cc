// How channels end: by either side, by both, by force, with traffic on them.
#include <thread>

#include "absl/strings/match.h"
#include "tests/conformance/channel_suite.h"

namespace expertmesh {
namespace {

TEST_P(ChannelConformance, TellsBothSidesOnceWhoeverCloses) {
  for (bool dialler_closes : {true, false}) {
    auto a = Open(a0_, e0_);
    const size_t count = dialler_closes ? 1 : 2;
    auto e = e0_.recorder.WaitOpened(count);
    a0_.recorder.WaitOpened(count);
    Worker& closer = dialler_closes ? a0_ : e0_;
    Worker& other = dialler_closes ? e0_ : a0_;
    Channel& near = dialler_closes ? *a : *e;
    Channel& far = dialler_closes ? *e : *a;
    near.Close(absl::AbortedError("time to go"));
    near.Close(absl::AbortedError("again"));  // does nothing
    EXPECT_EQ(closer.recorder.WaitClosed(near.id()), absl::AbortedError("time to go"));
    const absl::Status told = other.recorder.WaitClosed(far.id());
    EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << told;
    EXPECT_TRUE(absl::StrContains(told.message(), closer.hello.name)) << told;
    EXPECT_TRUE(absl::StrContains(told.message(), "time to go")) << told;
    for (Channel* end : {&near, &far}) {
      const absl::Status status = end->Send(MessageHeader(), {}, Event(), nullptr);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "closed")) << status;
    }
  }
}

TEST_P(ChannelConformance, ClosingOneLeavesTheOthersAlone) {
  Worker& e1 = Add("e1", WorkerRole::kExpert);
  Connect();
  auto second = Open(a0_, e0_);
  a0_.recorder.WaitOpened(2);
  auto other = Open(a0_, e1);
  a0_.recorder.WaitOpened(3);
  a_->Close(absl::CancelledError("only this one"));
  a0_.recorder.AwaitClosed(a_->id());
  e0_.recorder.AwaitClosed(e_->id());
  ASSERT_TRUE(second->Send(MessageHeader(), {}, Event(), nullptr).ok());
  ASSERT_TRUE(other->Send(MessageHeader(), {}, Event(), nullptr).ok());
  e0_.recorder.WaitMessages(1);
  e1.recorder.WaitMessages(1);
  EXPECT_EQ(a0_.recorder.closed_count(second->id()), 0u);
  EXPECT_EQ(a0_.recorder.closed_count(other->id()), 0u);
}

TEST_P(ChannelConformance, ClosesOnceUnderTrafficWhetherOneSideClosesOrBothAtOnce) {
  const Matrix matrix(4, 256, 1);
  for (size_t round = 1; round <= 30; ++round) {
    auto a = Open(a0_, e0_);
    auto e = e0_.recorder.WaitOpened(round);
    a0_.recorder.WaitOpened(round);
    Fates fates;
    std::atomic<size_t> next{0}, accepted{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (Channel* end : {a.get(), e.get()}) {
      const Recorder& owner = end == a.get() ? a0_.recorder : e0_.recorder;
      threads.emplace_back([&, end] {  // sends until it is told not to
        while (!go) std::this_thread::yield();
        absl::Status status;
        while (!absl::IsUnavailable(status)) {
          const size_t token = next.fetch_add(1);
          status = end->Send(DispatchOf(matrix, token), {{}, {}, matrix.View()}, Event(),
                             fates.For(token, owner, end->id()));
          if (status.ok()) accepted.fetch_add(1);
        }
      });
      if (round % 3 == (end == a.get() ? 1 : 2)) continue;  // in turns: e closes, a does, both do
      threads.emplace_back([&, end] {
        while (!go) std::this_thread::yield();
        for (int i = 0; i < 10; ++i) std::this_thread::yield();
        end->Close(absl::CancelledError("both"));
      });
    }
    go = true;
    for (std::thread& thread : threads) thread.join();
    a0_.recorder.AwaitClosed(a->id());
    e0_.recorder.AwaitClosed(e->id());
    // OnClosed is a channel's last callback: every fate has been told by now.
    EXPECT_EQ(fates.count(), accepted);
  }
}

TEST_P(ChannelConformance, StopsWithTrafficInFlight) {
  Connect();
  const Matrix matrix(16, 1024, 2);
  Fates fates[2];
  size_t accepted[2] = {0, 0};
  std::vector<std::thread> threads;
  Channel* ends[2] = {a_.get(), e_.get()};
  Worker* owners[2] = {&a0_, &e0_};
  for (int side : {0, 1}) {
    threads.emplace_back([&, side] {
      for (;;) {
        const absl::Status status = ends[side]->Send(
            DispatchOf(matrix, accepted[side]), {{}, {}, matrix.View()}, Event(),
            fates[side].For(accepted[side], owners[side]->recorder, ends[side]->id()));
        if (status.ok()) ++accepted[side];
        if (absl::IsUnavailable(status)) return;
      }
    });
  }
  e0_.recorder.WaitMessages(50);
  a0_.transport->Stop();
  a0_.recorder.ForbidCallbacks();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(a0_.recorder.closed_count(a_->id()), 1u);
  e0_.recorder.AwaitClosed(e_->id());
  fates[0].WaitAll(accepted[0]);
  fates[1].WaitAll(accepted[1]);

  a0_.transport->Stop();  // idempotent
  auto late = Open(a0_, e0_);
  EXPECT_TRUE(absl::IsUnavailable(late->Send(MessageHeader(), {}, Event(), nullptr)));
  late->Close(absl::CancelledError("whatever"));
}

TEST_P(ChannelConformance, StopsWhileChannelsOpen) {
  std::vector<std::shared_ptr<Channel>> channels;
  for (int i = 0; i < 20; ++i) channels.push_back(Open(a0_, e0_));
  e0_.transport->Stop();
  e0_.recorder.ForbidCallbacks();
  for (auto& channel : channels) {
    const absl::Status why = a0_.recorder.WaitClosed(channel->id());
    EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable) << why;
  }
  a0_.transport->Stop();
  a0_.recorder.ForbidCallbacks();
  for (auto& channel : channels) EXPECT_EQ(a0_.recorder.closed_count(channel->id()), 1u);
}

TEST_P(ChannelConformance, TellsWhenThePeerVanishes) {
  auto a = a0_.transport->Open(fleet_->FragileAddress("e0"), ExpectationOf(e0_.hello));
  auto e = e0_.recorder.WaitOpened();
  a0_.recorder.WaitOpened();
  ASSERT_TRUE(a->Send(MessageHeader(), {}, Event(), nullptr).ok());
  e0_.recorder.WaitMessages(1);
  fleet_->Vanish("e0");
  const absl::Status why = a0_.recorder.WaitClosed(a->id());
  EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable) << why;
  EXPECT_TRUE(absl::StrContains(why.message(), "e0")) << why;
  e0_.recorder.AwaitClosed(e->id());
}

}  // namespace
}  // namespace expertmesh
