#include "cli/load/runner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <set>
#include <thread>

#include "cli/load/arrivals.h"

namespace expertmesh {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);

// A server that answers at once with token ids that tell the call, unless the test holds it.
class FakeServer {
 public:
  LoadTarget Target() {
    return {[this](const UserRequest& request, const auto& on_delta) {
              return Answer(request, on_delta);
            },
            [this] {
              MutexLock lock(mutex_);
              cancelled_ = true;
              changed_.notify_all();
            }};
  }
  // What runs is held until `wanted` run at once, or have been cancelled.
  void HoldUntil(int wanted) { wanted_ = wanted; }
  void FailWith(const absl::Status& status) { status_ = status; }

  std::vector<UserRequest> requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }
  int most_at_once() const {
    MutexLock lock(mutex_);
    return most_at_once_;
  }
  void WaitForRequests(size_t count) {
    MutexLock lock(mutex_);
    const Time deadline = Now() + kPatience;
    while (requests_.size() < count && Now() < deadline) {
      changed_.wait_until(lock.native(), deadline);
    }
    EXPECT_GE(requests_.size(), count);
  }

 private:
  absl::Status Answer(const UserRequest& request,
                      const std::function<void(const Delta&)>& on_delta) {
    {
      MutexLock lock(mutex_);
      requests_.push_back(request);
      most_at_once_ = std::max(most_at_once_, ++running_);
      changed_.notify_all();
      const Time deadline = Now() + kPatience;
      while (most_at_once_ < wanted_ && !cancelled_ && Now() < deadline) {
        changed_.wait_until(lock.native(), deadline);
      }
      --running_;
      if (cancelled_) return absl::CancelledError("cancelled");
    }
    if (!status_.ok()) return status_;
    const auto& prompt = std::get<std::vector<int32_t>>(request.prompt);
    Delta first;
    first.opening = Opening{static_cast<int32_t>(prompt.size()), 0, false};
    on_delta(first);
    Delta last;
    for (int32_t i = 0; i < *request.max_tokens; ++i) last.tokens.push_back({1000 + i, 0, {}});
    last.finish = FinishReason::kLength;
    last.usage.cached_tokens = 2;
    on_delta(last);
    return absl::OkStatus();
  }

  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::vector<UserRequest> requests_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_at_once_ ABSL_GUARDED_BY(mutex_) = 0;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int wanted_ = 0;
  absl::Status status_;
};

RunOptions Closed(int concurrency, int64_t requests) {
  RunOptions options;
  options.level = {false, static_cast<double>(concurrency)};
  options.requests = requests;
  options.work.prompt_tokens = *LengthDistribution::Parse("4..9");
  options.work.output_tokens = *LengthDistribution::Parse("3");
  options.work.vocabulary = 100;
  return options;
}

RunOptions Open(double rate, int64_t requests) {
  RunOptions options = Closed(1, requests);
  options.level = {true, rate};
  return options;
}

void Ignore(const RunProgress&) {}

TEST(Runner, AClosedLoopKeepsSoManyRunningAndNoMore) {
  FakeServer server;
  server.HoldUntil(5);
  const RunResult run = Runner(server.Target(), Closed(5, 23), Ignore).Run();
  EXPECT_EQ(run.records.size(), 23u);
  EXPECT_EQ(server.most_at_once(), 5);
  for (const RequestRecord& record : run.records) {
    EXPECT_TRUE(record.status.ok());
    EXPECT_EQ(record.tokens.size(), 3u);
    EXPECT_EQ(record.cached_tokens, 2);
    EXPECT_GE(record.prompt_tokens, 4);
    EXPECT_EQ(record.scheduled, record.sent);
    EXPECT_LE(record.ended - record.scheduled, run.duration);
  }
}

TEST(Runner, AsksForExactlyWhatWasDrawn) {
  FakeServer server;
  RunOptions options = Closed(1, 2);
  options.shape = {0.5f, 7, "salt", false, std::chrono::hours(1)};
  Runner(server.Target(), options, Ignore).Run();
  const std::vector<UserRequest> requests = server.requests();
  ASSERT_EQ(requests.size(), 2u);
  for (const UserRequest& request : requests) {
    EXPECT_EQ(request.max_tokens, 3);
    EXPECT_TRUE(request.ignore_eos);
    EXPECT_EQ(request.sampling.temperature, 0.5f);
    EXPECT_EQ(request.priority, 7);
    EXPECT_EQ(request.cache_salt, "salt");
    EXPECT_NE(request.deadline, kNever);
  }
  EXPECT_EQ(std::get<std::vector<int32_t>>(requests[1].prompt),
            Conversation(options.work, 1).Next({}).prompt);
}

TEST(Runner, DistinctSaltsAreDistinct) {
  FakeServer server;
  RunOptions options = Closed(3, 12);
  options.work.turns = 2;
  options.shape.distinct_salts = true;
  Runner(server.Target(), options, Ignore).Run();
  std::set<std::string> salts;
  for (const UserRequest& request : server.requests()) salts.insert(request.cache_salt);
  EXPECT_EQ(salts.size(), 12u);
}

TEST(Runner, TurnsFollowOneAnotherAndEachIsARequest) {
  FakeServer server;
  RunOptions options = Closed(1, 5);
  options.work.turns = 3;
  const RunResult run = Runner(server.Target(), options, Ignore).Run();
  EXPECT_EQ(run.records.size(), 5u) << "the last conversation is cut short";
  const std::vector<UserRequest> requests = server.requests();
  Conversation first(options.work, 0);
  std::vector<int32_t> answer;
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(std::get<std::vector<int32_t>>(requests[turn].prompt), first.Next(answer).prompt);
    answer = {1000, 1001, 1002};
  }
}

// No coordinated omission: whatever the server does, a request counts from its arrival.
TEST(Runner, AnOpenLoopsRequestsCountFromTheirScheduledArrival) {
  FakeServer server;
  server.HoldUntil(30);
  RunOptions options = Open(2000, 30);
  options.work.seed = 9;
  const RunResult run = Runner(server.Target(), options, Ignore).Run();
  ASSERT_EQ(run.records.size(), 30u);
  std::set<Duration> offsets, expected;
  Time first = Time::max();
  for (const RequestRecord& record : run.records) first = std::min(first, record.scheduled);
  for (const RequestRecord& record : run.records) {
    offsets.insert(record.scheduled - first);
    EXPECT_GE(record.sent, record.scheduled);
  }
  PoissonArrivals arrivals(2000, 9);
  const Duration first_expected = arrivals.Next();
  expected.insert(Duration(0));
  for (int i = 1; i < 30; ++i) expected.insert(arrivals.Next() - first_expected);
  EXPECT_EQ(offsets, expected);
}

TEST(Runner, WhatArrivesBeyondTheBoundIsNotSentAndReported) {
  FakeServer server;
  RunOptions options = Open(5000, 20);
  options.max_in_flight = 3;
  server.HoldUntil(4);  // never: until cancelled
  std::atomic<Runner*> running{nullptr};
  Runner runner(server.Target(), options, [&](const RunProgress& progress) {
    if (progress.begun == 3 && progress.not_sent == 17) running.load()->Interrupt();
  });
  running = &runner;
  const RunResult run = runner.Run();
  EXPECT_EQ(run.not_sent, 17);
  EXPECT_EQ(run.records.size(), 3u);
  EXPECT_EQ(server.most_at_once(), 3);
}

TEST(Runner, AConversationEndsWithTheTurnThatFails) {
  FakeServer server;
  server.FailWith(absl::UnavailableError("gone"));
  RunOptions options = Closed(1, 4);
  options.work.turns = 2;
  const RunResult run = Runner(server.Target(), options, Ignore).Run();
  EXPECT_EQ(run.records.size(), 2u);
  EXPECT_EQ(run.records[0].status, absl::UnavailableError("gone"));
  EXPECT_EQ(run.not_sent, 2);
}

TEST(Runner, AnInterruptionCancelsWhatRunsAndBeginsNothing) {
  for (const RunOptions& options : {Closed(4, 0), Open(1000, 0)}) {
    FakeServer server;
    server.HoldUntil(1 << 20);
    RunOptions timed = options;
    timed.time = std::chrono::hours(1);
    Runner runner(server.Target(), timed, Ignore);
    RunResult run;
    std::thread thread([&] { run = runner.Run(); });
    server.WaitForRequests(4);
    runner.Interrupt();
    thread.join();
    EXPECT_TRUE(run.interrupted);
    EXPECT_GE(run.records.size(), 4u);
    for (const RequestRecord& record : run.records) {
      EXPECT_EQ(record.status.code(), absl::StatusCode::kCancelled);
    }
  }
}

TEST(Runner, NothingBeginsWhenTheTimeIsOver) {
  FakeServer server;
  RunOptions options = Open(1e-3, 0);  // the first arrives after a quarter of an hour or so
  options.time = Milliseconds(1);
  EXPECT_TRUE(Runner(server.Target(), options, Ignore).Run().records.empty());
  EXPECT_TRUE(server.requests().empty());
}

}  // namespace
}  // namespace expertmesh
