#include "transport/worker_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;

// Writes down what happens to it, in order; the control thread's until the loop has stopped.
class RecordingNode final : public WorkerNode {
 public:
  void Start(Time) override { Note("start"); }
  void OnLinkUp(Time) override { Note("link up"); }
  void OnCommand(const Command& command, Time) override {
    Note(absl::StrCat("command ", command.number));
  }
  void OnLinkDown(const absl::Status& why, Time) override {
    Note(absl::StrCat("link down: ", why.message()));
  }
  void OnOpened(std::shared_ptr<Channel>, const Hello& peer, Time) override {
    Note(absl::StrCat("opened ", peer.name));
  }
  void OnMessage(ChannelId channel, Message message, Time) override {
    Note(absl::StrCat("message of ", message.rows.bytes().size(), " bytes on ", channel));
  }
  void OnClosed(ChannelId channel, const absl::Status& why, Time) override {
    Note(absl::StrCat("closed ", channel, ": ", why.message()));
  }
  void OnSent(uint64_t token, Time) override { Note(absl::StrCat("sent ", token)); }
  void OnComputed(uint64_t token, Time) override { Note(absl::StrCat("computed ", token)); }
  void Tick(Time now) override {
    ++ticks;
    last_tick = now;
    if (ticks == wait_for_tick) ticked.set_value();
  }
  Time NextWakeup() const override { return ticks < ticks_by_time ? last_tick : kNever; }

  std::vector<std::string> notes;
  std::vector<std::thread::id> threads;
  std::atomic<int> ticks{0};
  int ticks_by_time = 0;
  int wait_for_tick = -1;
  Time last_tick{};
  std::promise<void> ticked;

 private:
  void Note(std::string what) {
    notes.push_back(std::move(what));
    threads.push_back(std::this_thread::get_id());
  }
};

absl::Status Welcome(const Hello&) { return absl::OkStatus(); }

TEST(WorkerLoop, GivesTheNodeEveryEventInOrderOnOneThread) {
  RecordingNode node;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  Message message;
  message.rows = Payload(std::vector<std::byte>(5));
  Hello peer;
  peer.name = "a0";
  loop.OnLinkUp();
  loop.OnCommand({.number = 4});
  loop.OnOpened(nullptr, peer);
  loop.OnMessage(3, std::move(message));
  loop.SentToken(17)(absl::OkStatus());
  loop.OnPassed(2);
  loop.OnClosed(3, absl::UnavailableError("gone"));
  loop.OnLinkDown(absl::UnavailableError("cut"));
  loop.Stop();
  EXPECT_THAT(node.notes,
              ElementsAre("start", "link up", "command 4", "opened a0", "message of 5 bytes on 3",
                          "sent 17", "computed 2", "closed 3: gone", "link down: cut"));
  for (const std::thread::id& thread : node.threads) {
    EXPECT_EQ(thread, node.threads.front());
    EXPECT_NE(thread, std::this_thread::get_id());
  }
}

TEST(WorkerLoop, TellsOfASentMessageWhateverItsFate) {
  RecordingNode node;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  loop.SentToken(17)(absl::CancelledError("the channel closed"));
  loop.Stop();
  EXPECT_THAT(node.notes, ElementsAre("start", "sent 17")) << "the memory is free in any case";
}

TEST(WorkerLoop, TicksWhenTheNodesTimeHasCome) {
  RecordingNode node;
  node.ticks_by_time = 5;
  node.wait_for_tick = 5;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  node.ticked.get_future().wait();  // without a single event
  loop.Stop();
  EXPECT_EQ(node.ticks, 5);
}

TEST(WorkerLoop, TicksAfterEvents) {
  RecordingNode node;
  node.wait_for_tick = 1;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  loop.OnLinkUp();
  node.ticked.get_future().wait();
  loop.Stop();
  EXPECT_EQ(node.ticks, 1);
}

TEST(WorkerLoop, AsksTheJudgeOnTheCallersThread) {
  WorkerLoop loop([](const Hello& peer) { return absl::PermissionDeniedError(peer.name); },
                  nullptr);
  Hello peer;
  peer.name = "e0";
  EXPECT_EQ(loop.Judge(peer), absl::PermissionDeniedError("e0"));
}

TEST(WorkerLoop, TellsOfTheEndOfALifeOnce) {
  std::vector<absl::Status> exits;
  RecordingNode node;
  WorkerLoop loop(Welcome, [&](absl::Status why) { exits.push_back(std::move(why)); });
  loop.Start(&node);
  loop.Post([&](Time) { loop.Exit(absl::AbortedError("fenced")); });
  loop.Post([&](Time) { loop.Exit(absl::InternalError("again")); });
  loop.Stop();
  EXPECT_THAT(exits, ElementsAre(absl::AbortedError("fenced")));
}

TEST(WorkerLoop, RunsTheLastTaskThenRefusesPosts) {
  RecordingNode node;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  bool last = false;
  loop.StopAfter([&](Time) { last = true; });
  EXPECT_TRUE(last);
  EXPECT_FALSE(loop.Post([](Time) { ADD_FAILURE() << "runs after the end"; }));
  loop.OnPassed(9);  // a stream that finishes late
  loop.StopAfter([](Time) { ADD_FAILURE() << "a second stop does nothing"; });
  EXPECT_THAT(node.notes, ElementsAre("start"));
}

// A request whose task was taken is waited for: dropping it would be a request without an end.
TEST(WorkerLoop, RunsEveryTaskThatItHasTaken) {
  RecordingNode node;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  bool taken = false, ran = false;
  loop.StopAfter([&](Time) { taken = loop.Post([&](Time) { ran = true; }); });
  EXPECT_EQ(ran, taken);
}

TEST(WorkerLoop, RunsEveryTaskThatItHasTakenFromAnyThread) {
  for (int round = 0; round < 50; ++round) {
    RecordingNode node;
    WorkerLoop loop(Welcome, nullptr);
    loop.Start(&node);
    int taken = 0;
    std::atomic<int> ran{0};
    std::thread poster([&] {
      while (loop.Post([&](Time) { ++ran; })) ++taken;
    });
    while (ran == 0) std::this_thread::yield();
    loop.Stop();
    poster.join();
    ASSERT_EQ(ran, taken) << "in round " << round;
  }
}

TEST(WorkerLoop, GivesPayloadsBackBeforeItWaitsAgain) {
  RecordingNode node;
  WorkerLoop loop(Welcome, nullptr);
  loop.Start(&node);
  std::promise<void> released;
  Message message;
  message.rows = Payload(
      {}, &released, [](void* context) { static_cast<std::promise<void>*>(context)->set_value(); });
  loop.OnMessage(1, std::move(message));
  released.get_future().wait();
  loop.Stop();
}

}  // namespace
}  // namespace expertmesh
