#include "coordinator/text/text_door.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <map>

#include "common/mutex.h"
#include "common/status.h"
#include "coordinator/text/test_model.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::chrono::seconds kDeadline(20);

// The fleet as the test plays it.
class FakePort final : public AttentionPort {
 public:
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override {
    MutexLock lock(mutex_);
    started_[request.choice] = {id, std::move(request), listener};
    changed_.notify_all();
  }
  void Cancel(RequestId id) override {
    GenerationListener* listener = nullptr;
    {
      MutexLock lock(mutex_);
      for (auto& [choice, run] : started_) {
        if (run.id == id) listener = std::exchange(run.listener, nullptr);
      }
      cancelled_.push_back(id);
    }
    if (listener != nullptr) listener->OnEnd(id, absl::CancelledError("cancelled"));
  }

  GenerateRequest WaitForStart(int32_t choice = 0) {
    MutexLock lock(mutex_);
    changed_.wait_for(lock.native(), kDeadline, [&] { return started_.contains(choice); });
    return started_[choice].request;
  }
  void Deliver(int32_t choice, absl::string_view text, FinishReason finish = FinishReason::kNone) {
    const Run run = Get(choice);
    Delta delta;
    for (int32_t id : IdsOf(text)) delta.tokens.push_back({id, 0, {}});
    delta.finish = finish;
    run.listener->OnDelta(run.id, std::move(delta));
    if (finish != FinishReason::kNone) End(choice, absl::OkStatus());
  }
  void End(int32_t choice, absl::Status status) {
    Run run;
    {
      MutexLock lock(mutex_);
      run = started_[choice];
      started_[choice].listener = nullptr;
    }
    run.listener->OnEnd(run.id, std::move(status));
  }
  size_t cancelled() {
    MutexLock lock(mutex_);
    return cancelled_.size();
  }

 private:
  struct Run {
    RequestId id = 0;
    GenerateRequest request;
    GenerationListener* listener = nullptr;
  };
  Run Get(int32_t choice) {
    MutexLock lock(mutex_);
    return started_[choice];
  }

  Mutex mutex_;
  std::condition_variable changed_;
  std::map<int32_t, Run> started_ ABSL_GUARDED_BY(mutex_);
  std::vector<RequestId> cancelled_ ABSL_GUARDED_BY(mutex_);
};

class Reader final : public GenerationListener {
 public:
  void OnDelta(RequestId, Delta delta) override {
    MutexLock lock(mutex_);
    texts_[delta.choice] += delta.text;
    if (delta.opening.has_value()) openings_.push_back(*delta.opening);
  }
  void OnEnd(RequestId, absl::Status status) override {
    MutexLock lock(mutex_);
    ends_.push_back(std::move(status));
    changed_.notify_all();
  }
  absl::Status Wait() {
    MutexLock lock(mutex_);
    changed_.wait_for(lock.native(), kDeadline, [&] { return !ends_.empty(); });
    return ends_.empty() ? absl::DeadlineExceededError("no end") : ends_.front();
  }
  std::string text(int32_t choice = 0) {
    MutexLock lock(mutex_);
    return texts_[choice];
  }
  std::vector<Opening> openings() {
    MutexLock lock(mutex_);
    return openings_;
  }
  size_t ends() {
    MutexLock lock(mutex_);
    return ends_.size();
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::map<int32_t, std::string> texts_ ABSL_GUARDED_BY(mutex_);
  std::vector<Opening> openings_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> ends_ ABSL_GUARDED_BY(mutex_);
};

class TextDoorTest : public testing::Test {
 protected:
  RequestId Start(UserRequest request, Reader& reader) {
    const RequestId id = door_.NewRequestId();
    door_.Start(id, std::move(request), &reader);
    return id;
  }
  static UserRequest Text(std::string text, int32_t n = 1) {
    UserRequest request;
    request.prompt = std::move(text);
    request.max_tokens = 9;
    request.sampling.n = n;
    request.sampling.seed = 42;
    return request;
  }
  FakePort port_;
  RequestId last_ = 100;
  TextDoor door_{{.threads = 2}, std::make_shared<ByteModel>(), &port_, [this] { return ++last_; }};
};

TEST_F(TextDoorTest, TextGoesInAndComesOut) {
  Reader reader;
  Start(Text("hi"), reader);
  EXPECT_THAT(port_.WaitForStart().prompt, ElementsAre(256, 'h', 'i'));
  port_.Deliver(0, "wor");
  port_.Deliver(0, "ld", FinishReason::kLength);
  EXPECT_TRUE(reader.Wait().ok());
  EXPECT_EQ(reader.text(), "world");
  ASSERT_EQ(reader.openings().size(), 1u);
  EXPECT_EQ(reader.openings()[0].prompt_tokens, 3);
  EXPECT_EQ(reader.openings()[0].seed, 42u);
  EXPECT_EQ(door_.running(), 0u);
}

TEST_F(TextDoorTest, MakesEachChoiceAndEndsWhenAllHave) {
  Reader reader;
  Start(Text("hi", 2), reader);
  EXPECT_EQ(port_.WaitForStart(0).sampling.seed, 42u);
  EXPECT_EQ(port_.WaitForStart(1).sampling.seed, 42u) << "the choice tells them apart";
  port_.Deliver(1, "b", FinishReason::kLength);
  port_.Deliver(0, "a");
  EXPECT_EQ(reader.ends(), 0u);
  port_.Deliver(0, "A", FinishReason::kLength);
  EXPECT_TRUE(reader.Wait().ok());
  EXPECT_EQ(reader.text(0), "aA");
  EXPECT_EQ(reader.text(1), "b");
  EXPECT_EQ(reader.openings().size(), 1u);
}

TEST_F(TextDoorTest, TheFirstChoiceThatFailsEndsTheRequestAndTheOthers) {
  Reader reader;
  Start(Text("hi", 3), reader);
  for (int32_t choice : {0, 1, 2}) port_.WaitForStart(choice);
  port_.Deliver(0, "a", FinishReason::kLength);
  port_.End(1, TryAgainLater("lost"));
  EXPECT_EQ(reader.Wait().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryAfter(reader.Wait()).has_value());
  for (const Time until = Now() + kDeadline; port_.cancelled() == 0 && Now() < until;) {
  }
  EXPECT_EQ(port_.cancelled(), 1u) << "choice 2; the others have ended";
  EXPECT_EQ(reader.ends(), 1u);
}

TEST_F(TextDoorTest, CancelsAndAbortsByName) {
  Reader reader, other;
  UserRequest request = Text("hi");
  request.request_id = "mine";
  const RequestId id = Start(request, reader);
  port_.WaitForStart();
  door_.Cancel(id);
  EXPECT_EQ(reader.Wait(), absl::CancelledError("cancelled"));
  request.sampling.n = 2;
  Start(request, other);
  port_.WaitForStart(1);
  EXPECT_EQ(door_.Abort("nobody"), 0);
  EXPECT_EQ(door_.Abort("mine"), 1);
  EXPECT_EQ(other.Wait(), absl::CancelledError("aborted by its request_id, \"mine\""));
  EXPECT_EQ(door_.Abort("mine"), 0);
}

TEST_F(TextDoorTest, WhatIsToBeKeptGetsAKeyOfItsOwnForEachChoice) {
  Reader reader;
  UserRequest request = Text("hi", 2);
  request.keep = true;
  Start(request, reader);
  const auto one = port_.WaitForStart(0).kept, two = port_.WaitForStart(1).kept;
  ASSERT_TRUE(one.has_value() && two.has_value());
  EXPECT_NE(one->key, two->key);
  EXPECT_EQ(one->worker, "");
  for (int32_t choice : {0, 1}) port_.Deliver(choice, "a", FinishReason::kLength);
  EXPECT_TRUE(reader.Wait().ok());
}

TEST_F(TextDoorTest, AResumedAnswerKeepsItsKeyAndOthersHaveNone) {
  Reader reader, plain;
  UserRequest request = Text("hi");
  const KeptAnswer kept{{1, 2}, "a1", {3, 4}};
  request.resume = ResumePoint{{'a'}, 0, kept};
  Start(request, reader);
  EXPECT_EQ(port_.WaitForStart().kept, kept);
  port_.Deliver(0, "b", FinishReason::kLength);
  EXPECT_TRUE(reader.Wait().ok());
  const RequestId id = Start(Text("hi"), plain);
  for (const Time until = Now() + kDeadline;
       port_.WaitForStart().kept.has_value() && Now() < until;) {
  }
  EXPECT_FALSE(port_.WaitForStart().kept.has_value());
  door_.Detach(id);
  EXPECT_EQ(plain.Wait(), absl::CancelledError("cancelled")) << "a port that keeps nothing";
}

TEST_F(TextDoorTest, DoesNothingForWhoIsGoneOrLateAlready) {
  // The one text thread is held by the first request's start at the port.
  std::promise<void> entered, let_go;
  TextDoor door({.threads = 1}, std::make_shared<ByteModel>(), &port_, [&] {
    if (last_ == 100) {
      entered.set_value();
      let_go.get_future().wait();
    }
    return ++last_;
  });
  Reader first, cancelled, late;
  door.Start(1, Text("a"), &first);
  entered.get_future().wait();
  UserRequest named = Text("b");
  named.request_id = "mine";
  door.Start(2, named, &cancelled);
  UserRequest expired = Text("c");
  expired.deadline = Now();
  door.Start(3, expired, &late);
  EXPECT_EQ(door.Abort("mine"), 1);
  let_go.set_value();
  EXPECT_EQ(cancelled.Wait().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(late.Wait().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(last_, 101u) << "only the first came to the port";
  door.Stop();
}

TEST_F(TextDoorTest, TakesSoManyRequestsAndNoMore) {
  TextDoor door({.threads = 1, .max_running = 2}, std::make_shared<ByteModel>(), &port_,
                [this] { return ++last_; });
  Reader first, second, third;
  door.Start(1, Text("a"), &first);
  door.Start(2, Text("b"), &second);
  door.Start(3, Text("c"), &third);
  EXPECT_EQ(third.Wait().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfter(third.Wait()).has_value());
  door.Stop();
  EXPECT_EQ(first.ends() + second.ends(), 2u);
}

TEST_F(TextDoorTest, RefusesBeforeAnythingIsStarted) {
  Reader reader;
  Start(Text(""), reader);
  EXPECT_EQ(reader.Wait().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(door_.running(), 0u);
}

TEST_F(TextDoorTest, TokenizesAndDetokenizes) {
  std::promise<std::vector<int32_t>> ids;
  door_.Tokenize("hi", true, [&](auto result) { ids.set_value(*result); });
  EXPECT_THAT(ids.get_future().get(), ElementsAre(256, 'h', 'i'));
  const auto text = [&](std::vector<int32_t> tokens, bool special) {
    std::promise<absl::StatusOr<std::string>> done;
    door_.Detokenize(std::move(tokens), special, [&](auto result) { done.set_value(result); });
    return done.get_future().get();
  };
  EXPECT_EQ(*text({256, 'h', 0xFF}, false), "h\xEF\xBF\xBD");
  EXPECT_EQ(*text({256, 'h'}, true), "<s>h");
  EXPECT_EQ(text({300}, true).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(text(std::vector<int32_t>(kMaxDetokenizeIds, 'h'), true)->size(), kMaxDetokenizeIds);
  EXPECT_EQ(text(std::vector<int32_t>(kMaxDetokenizeIds + 1, 'h'), true).status().message(),
            "token_ids has 1048577 entries; at most 1048576");
}

TEST_F(TextDoorTest, StopEndsWhatIsLeftAndRefusesTheRest) {
  Reader running, late;
  Start(Text("hi"), running);
  port_.WaitForStart();
  door_.Stop();
  EXPECT_EQ(running.Wait().code(), absl::StatusCode::kUnavailable);
  Start(Text("hi"), late);
  EXPECT_EQ(late.Wait().code(), absl::StatusCode::kUnavailable);
  door_.Stop();
  EXPECT_EQ(running.ends(), 1u);
}

}  // namespace
}  // namespace expertmesh
