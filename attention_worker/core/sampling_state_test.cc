#include "attention_worker/core/sampling_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

GenerateRequest Penalised() {
  GenerateRequest request;
  request.prompt = {7, 3, 7, 9};
  request.sampling.presence_penalty = 1;
  return request;
}

TEST(SamplingState, ResumedIdsCountAsIfTheyHadBeenAcceptedHere) {
  GenerateRequest request;
  request.prompt = {9, 3, 9};
  request.sampling.repetition_penalty = 2;
  SamplingState accepted(request, {});
  for (int32_t id : {5, 3, 5}) accepted.Accept(id);
  request.resumed = {5, 3, 5};
  const SamplingState resumed(request, {});
  EXPECT_EQ(resumed.output_index(), 3);
  EXPECT_EQ(std::vector<int32_t>(resumed.seen_ids().begin(), resumed.seen_ids().end()),
            std::vector<int32_t>(accepted.seen_ids().begin(), accepted.seen_ids().end()));
  EXPECT_EQ(std::vector<int32_t>(resumed.seen_counts().begin(), resumed.seen_counts().end()),
            std::vector<int32_t>(accepted.seen_counts().begin(), accepted.seen_counts().end()));
}

TEST(SamplingState, CountsIdsOfTheOutputAndListsThoseOfThePromptOnce) {
  SamplingState state(Penalised(), {});
  EXPECT_THAT(state.seen_ids(), ElementsAre(3, 7, 9));
  EXPECT_THAT(state.seen_counts(), ElementsAre(0, 0, 0));
  for (int32_t id : {8, 7, 10, 8, 1, 8}) state.Accept(id);
  EXPECT_THAT(state.seen_ids(), ElementsAre(1, 3, 7, 8, 9, 10));
  EXPECT_THAT(state.seen_counts(), ElementsAre(1, 0, 1, 3, 0, 1));
  EXPECT_EQ(state.output_index(), 6);
}

TEST(SamplingState, KeepsNoHistoryThatNoPenaltyReads) {
  GenerateRequest request = Penalised();
  request.sampling.presence_penalty = 0;
  SamplingState state(request, {});
  state.Accept(5);
  EXPECT_THAT(state.seen_ids(), IsEmpty());
  EXPECT_EQ(state.output_index(), 1);
  request.sampling.frequency_penalty = -1;
  EXPECT_THAT(SamplingState(request, {}).seen_ids(), ElementsAre(3, 7, 9));
  request.sampling.frequency_penalty = 0;
  request.sampling.repetition_penalty = 0.5f;
  EXPECT_THAT(SamplingState(request, {}).seen_ids(), ElementsAre(3, 7, 9));
}

TEST(SamplingState, MasksWhatWouldEndTheOutputUntilItHasMinTokens) {
  GenerateRequest request;
  request.min_tokens = 2;
  SamplingState state(request, {4, 6});
  EXPECT_THAT(state.masked(), ElementsAre(4, 6));
  state.Accept(1);
  EXPECT_THAT(state.masked(), ElementsAre(4, 6));
  state.Accept(1);
  EXPECT_THAT(state.masked(), IsEmpty());
}

TEST(SamplingState, TellsWhichRandomNumberAndWhichBiases) {
  GenerateRequest request;
  request.choice = 3;
  EXPECT_EQ(SamplingState(request, {}).seed(), 0u);
  request.sampling.seed = uint64_t{1} << 40;
  request.sampling.logit_bias = {{2, 0.5f}, {11, -3}};
  const SamplingState state(request, {});
  EXPECT_EQ(state.seed(), uint64_t{1} << 40);
  EXPECT_EQ(state.choice(), 3);
  EXPECT_THAT(state.bias_ids(), ElementsAre(2, 11));
  EXPECT_THAT(state.biases(), ElementsAre(0.5f, -3));
}

}  // namespace
}  // namespace expertmesh
