#include "cli/load/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using ::testing::ElementsAreArray;

using Ids = std::vector<int32_t>;

WorkloadOptions SomeWork() {
  WorkloadOptions work;
  work.prompt_tokens = *LengthDistribution::Parse("10..20");
  work.output_tokens = *LengthDistribution::Parse("3..9");
  work.vocabulary = 50;
  work.seed = 5;
  return work;
}

Ids FirstPrompt(const WorkloadOptions& work, uint32_t index) {
  return Conversation(work, index).Next({}).prompt;
}

Ids Beginning(const Ids& ids, size_t count) { return {ids.begin(), ids.begin() + count}; }

TEST(Conversation, IsAFunctionOfSeedAndIndex) {
  WorkloadOptions work = SomeWork();
  const Ids prompt = FirstPrompt(work, 3);
  EXPECT_EQ(FirstPrompt(work, 3), prompt);
  EXPECT_NE(Beginning(FirstPrompt(work, 4), 10), Beginning(prompt, 10));
  work.seed = 6;
  EXPECT_NE(Beginning(FirstPrompt(work, 3), 10), Beginning(prompt, 10));
}

TEST(Conversation, DrawsLengthsAndIdsWithinTheirBounds) {
  const WorkloadOptions work = SomeWork();
  int32_t highest = 0;
  for (uint32_t index = 0; index < 200; ++index) {
    const Turn turn = Conversation(work, index).Next({});
    EXPECT_GE(turn.prompt.size(), 10u);
    EXPECT_LE(turn.prompt.size(), 20u);
    EXPECT_GE(turn.output_tokens, 3);
    EXPECT_LE(turn.output_tokens, 9);
    for (const int32_t id : turn.prompt) {
      ASSERT_GE(id, 0);
      highest = std::max(highest, id);
    }
  }
  EXPECT_EQ(highest, 49);
}

TEST(Conversation, OneGroupBeginsAlikeAndNoOtherDoes) {
  WorkloadOptions work = SomeWork();
  work.shared_prefix = 30;
  work.prefix_groups = 3;
  const Ids zero = FirstPrompt(work, 0), three = FirstPrompt(work, 3), one = FirstPrompt(work, 1);
  EXPECT_EQ(Beginning(zero, 30), Beginning(three, 30));
  EXPECT_NE(Beginning(zero, 40), Beginning(three, 40));
  EXPECT_NE(Beginning(zero, 30), Beginning(one, 30));
  EXPECT_GE(zero.size(), 40u) << "the prefix is besides the fresh part";
}

// What a sweep's later points ask for is not in the cache, but as long.
TEST(Conversation, PointsAskForTheSameLengthsInOtherTokens) {
  WorkloadOptions work = SomeWork(), next = SomeWork();
  work.shared_prefix = next.shared_prefix = 30;
  next.point = 1;
  for (uint32_t index = 0; index < 20; ++index) {
    const Turn turn = Conversation(work, index).Next({});
    const Turn later = Conversation(next, index).Next({});
    EXPECT_EQ(turn.prompt.size(), later.prompt.size());
    EXPECT_EQ(turn.output_tokens, later.output_tokens);
    EXPECT_NE(Beginning(turn.prompt, 30), Beginning(later.prompt, 30));
    EXPECT_NE(Ids(turn.prompt.begin() + 30, turn.prompt.end()),
              Ids(later.prompt.begin() + 30, later.prompt.end()));
  }
}

TEST(Conversation, EachTurnIsTheOneBeforeItsAnswerAndAFreshPart) {
  WorkloadOptions work = SomeWork();
  work.shared_prefix = 8;
  Conversation conversation(work, 2);
  Ids before = conversation.Next({}).prompt;
  for (int turn = 1; turn < 4; ++turn) {
    const Ids answer = {100 + turn, 200 + turn};
    const Ids prompt = conversation.Next(answer).prompt;
    before.insert(before.end(), answer.begin(), answer.end());
    ASSERT_GE(prompt.size(), before.size() + 10);
    ASSERT_LE(prompt.size(), before.size() + 20);
    EXPECT_THAT(Beginning(prompt, before.size()), ElementsAreArray(before));
    before = prompt;
  }
}

}  // namespace
}  // namespace expertmesh
