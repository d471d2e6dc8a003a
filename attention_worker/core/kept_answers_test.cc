// Answers whose listener goes and comes back.
#include "attention_worker/core/kept_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attention_worker/core/test_fakes.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr AnswerKey kKey{7, 9};
constexpr int64_t kGrace = 1000;  // ms

// What one listener heard of one request.
struct Heard final : GenerationListener {
  std::vector<int32_t> ids;
  std::vector<float> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;
  std::vector<absl::StatusCode> ends;
  void OnDelta(RequestId, Delta delta) override {
    EXPECT_THAT(ends, IsEmpty());
    for (const OutputToken& token : delta.tokens) {
      EXPECT_EQ(token.logprob, static_cast<float>(token.id) / 2);
      ids.push_back(token.id);
    }
    prompt_logprobs.insert(prompt_logprobs.end(), delta.prompt_logprobs.begin(),
                           delta.prompt_logprobs.end());
    finish = delta.finish;
  }
  void OnEnd(RequestId, absl::Status status) override { ends.push_back(status.code()); }
};

// Sequences that make 100, 101, ... when they are told to.
class FakeHost final : public SequenceHost {
 public:
  struct Sequence {
    GenerateRequest request;
    GenerationListener* listener = nullptr;
    int32_t next = 100;
  };
  void MakeSequence(RequestId id, GenerateRequest request, GenerationListener* listener,
                    Time) override {
    if (!refuse.ok()) return listener->OnEnd(id, refuse);
    Sequence& sequence = running[id];
    sequence.next += static_cast<int32_t>(request.resumed.size());
    sequence.request = std::move(request);
    sequence.listener = listener;
  }
  void CancelSequence(RequestId id) override { End(id, absl::CancelledError()); }
  void RedateSequence(RequestId id, Time deadline) override {
    running.at(id).request.deadline = deadline;
  }
  void End(RequestId id, const absl::Status& status) {
    auto node = running.extract(id);
    if (!node.empty()) node.mapped().listener->OnEnd(id, status);
  }
  void Make(RequestId id, int count, FinishReason finish = FinishReason::kNone) {
    for (int i = 0; i < count; ++i) {
      Delta delta;
      const int32_t token = running.at(id).next++;
      delta.tokens.push_back({token, static_cast<float>(token) / 2, {}});
      if (i + 1 == count) delta.finish = finish;
      running.at(id).listener->OnDelta(id, delta);
    }
    if (finish != FinishReason::kNone) End(id, absl::OkStatus());
  }

  absl::Status refuse;
  std::map<RequestId, Sequence> running;
};

class KeptAnswersTest : public testing::Test {
 protected:
  GenerateRequest Request(std::vector<int32_t> have = {}) {
    GenerateRequest request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 1000;
    request.resumed = std::move(have);
    request.kept = KeptAnswer{kKey, "", {}};
    return request;
  }
  static std::vector<int32_t> Ids(int32_t count, int32_t first = 100) {
    std::vector<int32_t> ids(count);
    for (int32_t i = 0; i < count; ++i) ids[i] = first + i;
    return ids;
  }
  void Start(RequestId id, GenerateRequest request, Heard* heard, int64_t ms = 0) {
    kept_.Start(id, std::move(request), heard, TestTime(ms));
  }
  void Detach(RequestId id, int64_t ms = 0) { kept_.Detach(id, TestTime(ms)); }
  void Tick(int64_t ms) { kept_.Tick(TestTime(ms)); }

  FakeHost host_;
  KeptAnswers kept_{{.grace = Milliseconds(kGrace), .most_ahead = 8, .most_detached = 2}, &host_};
  Heard first_, second_;
};

TEST_F(KeptAnswersTest, WithoutAKeyNothingIsKept) {
  GenerateRequest request = Request();
  request.kept.reset();
  Start(1, request, &first_);
  host_.Make(1, 2);
  Detach(1);
  EXPECT_THAT(first_.ids, ElementsAre(100, 101));
  EXPECT_THAT(first_.ends, ElementsAre(absl::StatusCode::kCancelled));
  EXPECT_THAT(host_.running, IsEmpty());
  EXPECT_EQ(kept_.detached(), 0u);
}

TEST_F(KeptAnswersTest, WhatWasMadeMeanwhileComesAtOnceAndThenTheRest) {
  Start(1, Request(), &first_);
  host_.Make(1, 2);
  Detach(1);
  EXPECT_THAT(first_.ends, ElementsAre(absl::StatusCode::kCancelled));
  host_.Make(1, 3);
  EXPECT_THAT(first_.ids, SizeIs(2));
  Start(2, Request({100}), &second_, kGrace - 1);
  EXPECT_EQ(second_.ids, Ids(4, 101)) << "one of those that were sent was lost";
  EXPECT_EQ(kept_.detached(), 0u);
  host_.Make(1, 2, FinishReason::kLength);
  EXPECT_EQ(second_.ids, Ids(6, 101));
  EXPECT_EQ(second_.finish, FinishReason::kLength);
  EXPECT_THAT(second_.ends, ElementsAre(absl::StatusCode::kOk));
  Start(3, Request(), &first_);
  EXPECT_TRUE(host_.running.contains(3)) << "nothing of it is left";
}

TEST_F(KeptAnswersTest, OneThatGetsFarAheadLeavesTheBatchAndGoesOnWhenItIsFetched) {
  Start(1, Request(), &first_);
  host_.Make(1, 2);
  Detach(1);
  host_.Make(1, 7);
  Tick(1);
  EXPECT_THAT(host_.running, SizeIs(1));
  host_.Make(1, 1);
  Tick(2);
  EXPECT_THAT(host_.running, IsEmpty());
  GenerateRequest again = Request(Ids(2));
  again.deadline = TestTime(5000);
  Start(2, again, &second_, 3);
  EXPECT_EQ(second_.ids, Ids(8, 102));
  ASSERT_TRUE(host_.running.contains(2));
  EXPECT_EQ(host_.running.at(2).request.resumed, Ids(10));
  EXPECT_EQ(host_.running.at(2).request.deadline, TestTime(5000));
  host_.Make(2, 1, FinishReason::kStop);
  EXPECT_EQ(second_.ids, Ids(9, 102));
  EXPECT_THAT(second_.ends, ElementsAre(absl::StatusCode::kOk));
}

TEST_F(KeptAnswersTest, OneThatHasEndedIsKeptWithItsEnd) {
  Start(1, Request(), &first_);
  host_.Make(1, 1);
  Detach(1);
  host_.Make(1, 3, FinishReason::kStop);
  Tick(1);
  Start(2, Request({100}), &second_, 2);
  EXPECT_EQ(second_.ids, Ids(3, 101));
  EXPECT_EQ(second_.finish, FinishReason::kStop);
  EXPECT_THAT(second_.ends, ElementsAre(absl::StatusCode::kOk));
  EXPECT_THAT(host_.running, IsEmpty());
}

TEST_F(KeptAnswersTest, OneThatFailsMeanwhileStartsAnew) {
  Start(1, Request(), &first_);
  host_.Make(1, 1);
  Detach(1);
  host_.End(1, absl::InternalError("x"));
  EXPECT_EQ(kept_.detached(), 0u);
  Start(2, Request({100}), &second_);
  EXPECT_THAT(second_.ids, IsEmpty());
  EXPECT_TRUE(host_.running.contains(2));
}

TEST_F(KeptAnswersTest, AfterTheGraceNothingIsLeft) {
  Start(1, Request(), &first_);
  host_.Make(1, 2);
  Detach(1, 5);
  EXPECT_EQ(kept_.NextWakeup(), TestTime(5 + kGrace));
  Tick(5 + kGrace);
  EXPECT_THAT(host_.running, IsEmpty());
  EXPECT_EQ(kept_.detached(), 0u);
  EXPECT_EQ(kept_.NextWakeup(), kNever);
}

TEST_F(KeptAnswersTest, WhoeverListenedOverABrokenConnectionIsTold) {
  Start(1, Request(), &first_);
  host_.Make(1, 2);
  GenerateRequest again = Request({100});
  again.deadline = TestTime(77);
  Start(2, again, &second_);
  EXPECT_THAT(first_.ends, ElementsAre(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(host_.running.at(1).request.deadline, TestTime(77));
  Detach(1);  // too late to matter
  kept_.Cancel(1);
  host_.Make(1, 1);
  EXPECT_EQ(second_.ids, Ids(2, 101));
  EXPECT_THAT(second_.ends, IsEmpty());
}

TEST_F(KeptAnswersTest, WhoeverListensIsToldAlsoWhereTheAnswerIsMadeAgain) {
  Start(1, Request(), &first_);
  host_.Make(1, 3);
  Start(2, Request({55}), &second_);
  EXPECT_THAT(first_.ends, ElementsAre(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(host_.running.contains(1));
  EXPECT_TRUE(host_.running.contains(2));
  EXPECT_EQ(kept_.detached(), 0u);
}

TEST_F(KeptAnswersTest, AnotherOutputOrAnotherRequestIsNotThatAnswer) {
  Start(1, Request(), &first_);
  host_.Make(1, 3);
  Detach(1);
  GenerateRequest other = Request({100});
  other.max_tokens = 7;
  Start(2, other, &second_);
  EXPECT_TRUE(host_.running.contains(1)) << "it is not touched";
  EXPECT_TRUE(host_.running.contains(2));
  Detach(2);
  EXPECT_FALSE(host_.running.contains(2)) << "and has not been kept";
  Start(3, Request({100, 55}), &second_);
  EXPECT_FALSE(host_.running.contains(1)) << "it does not go on from there";
  EXPECT_TRUE(host_.running.contains(3));
  EXPECT_EQ(kept_.detached(), 0u);
}

TEST_F(KeptAnswersTest, WhatIsNotKeptAnyMoreIsMadeAgain) {
  Start(1, Request(), &first_);
  host_.Make(1, 3 * kKeptTokens);
  Detach(1);
  Start(2, Request({100}), &second_);
  EXPECT_THAT(second_.ids, IsEmpty());
  EXPECT_FALSE(host_.running.contains(1));
  EXPECT_EQ(host_.running.at(2).request.resumed, Ids(1));
}

TEST_F(KeptAnswersTest, CancelAndForgetEndItForGood) {
  Start(1, Request(), &first_);
  kept_.Cancel(1);
  EXPECT_THAT(first_.ends, ElementsAre(absl::StatusCode::kCancelled));
  EXPECT_THAT(host_.running, IsEmpty());
  Start(2, Request(), &second_);
  Detach(2);
  kept_.Forget(kKey);
  EXPECT_THAT(host_.running, IsEmpty());
  EXPECT_EQ(kept_.detached(), 0u);
  Heard third;
  Start(3, Request(), &third);
  kept_.Forget(kKey);
  EXPECT_THAT(third.ends, ElementsAre(absl::StatusCode::kCancelled));
  kept_.Forget(kKey);
}

TEST_F(KeptAnswersTest, OnlySoManyAreKept) {
  Heard heard[3];
  for (uint64_t i = 0; i < 3; ++i) {
    GenerateRequest request = Request();
    request.kept->key.low = i;
    Start(i + 1, request, &heard[i]);
    Detach(i + 1, static_cast<int64_t>(i));
  }
  EXPECT_EQ(kept_.detached(), 2u);
  EXPECT_FALSE(host_.running.contains(1));
}

TEST_F(KeptAnswersTest, OfAnotherClassNothingIsGoneOnWith) {
  Start(1, Request(), &first_);
  Detach(1);
  host_.Make(1, 8);
  Tick(1);
  kept_.ForgetUnmade();
  Start(2, Request(), &second_);
  EXPECT_THAT(second_.ids, IsEmpty());
  EXPECT_THAT(host_.running.at(2).request.resumed, IsEmpty());
}

TEST_F(KeptAnswersTest, LogprobsOfThePromptAreToldToWhoeverAsksForThem) {
  GenerateRequest request = Request();
  request.prompt_logprobs = true;
  Start(1, request, &first_);
  Delta delta;
  delta.prompt_logprobs = {-1, -2};
  host_.running.at(1).listener->OnDelta(1, delta);
  Detach(1);
  Start(2, request, &second_);
  EXPECT_THAT(second_.prompt_logprobs, ElementsAre(-1, -2));
  Detach(2);
  Heard third;
  Start(3, Request(), &third);
  EXPECT_THAT(third.prompt_logprobs, IsEmpty());
  EXPECT_TRUE(host_.running.contains(1)) << "all of them the same answer";
}

TEST_F(KeptAnswersTest, ARefusalIsTold) {
  host_.refuse = absl::ResourceExhaustedError("full");
  Start(1, Request(), &first_);
  EXPECT_THAT(first_.ends, ElementsAre(absl::StatusCode::kResourceExhausted));
  Detach(1);
  EXPECT_EQ(kept_.detached(), 0u);
}

}  // namespace
}  // namespace expertmesh
