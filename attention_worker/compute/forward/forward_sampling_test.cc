#include <gtest/gtest.h>

#include "attention_worker/compute/forward/forward.h"
#include "attention_worker/compute/forward/test_util.h"

namespace expertmesh {
namespace {

// Each part of a sequence's state reaches the op, as the field that it is.
TEST(Forward, ChoosesAsTheSequencesStateAsks) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  const Sequence sequence{Tokens(Forward::kHeadRows, 10), Blocks(0, 1)};
  const auto said = [&](const SamplingState* state) {
    rig.sampling = state;
    std::vector<int32_t> ids;
    for (const Said& at : InChunks(rig, sequence, Forward::kHeadRows)) {
      ids.push_back(static_cast<int32_t>(at[0]));
    }
    return ids;
  };
  const std::vector<int32_t> greedy = said(nullptr);
  GenerateRequest plain;
  plain.prompt = sequence.tokens;
  plain.sampling.temperature = 5;
  plain.sampling.seed = 3;
  const SamplingState drawn(plain, {});
  const std::vector<int32_t> plain_ids = said(&drawn);
  EXPECT_NE(plain_ids, greedy);
  EXPECT_EQ(plain_ids, rig.ChosenBy({.temperature = 5, .seed = 3}));

  const auto expect = [&](const char* name, auto change, SampleRow row) {
    GenerateRequest request = plain;
    change(request);
    SamplingState state(request, {4, greedy[0]});
    if (row.output_index == 1) state.Accept(greedy[0]);
    const std::vector<int32_t> ids = said(&state);
    row.temperature = 5;
    row.seed = request.sampling.seed.value_or(0);
    row.seen_ids = state.seen_ids();
    row.seen_counts = state.seen_counts();
    EXPECT_NE(ids, plain_ids) << name << " has no effect";
    EXPECT_EQ(ids, rig.ChosenBy(row)) << name;
  };
  const int32_t listed[] = {4, greedy[0]};
  const float biases[] = {100, 50};
  using R = GenerateRequest;
  expect("top_k", [](R& r) { r.sampling.top_k = 3; }, {.top_k = 3});
  expect("top_p", [](R& r) { r.sampling.top_p = 0.5f; }, {.top_p = 0.5f});
  expect("min_p", [](R& r) { r.sampling.min_p = 0.9f; }, {.min_p = 0.9f});
  expect("repetition", [](R& r) { r.sampling.repetition_penalty = 0.01f; },
         {.repetition_penalty = 0.01f});
  expect("presence", [](R& r) { r.sampling.presence_penalty = -2; },
         {.presence_penalty = -2, .output_index = 1});
  expect("frequency", [](R& r) { r.sampling.frequency_penalty = -2; },
         {.frequency_penalty = -2, .output_index = 1});
  expect("allowed",
         [&](R& r) {
           r.sampling.allowed_token_ids = {4, greedy[0]};
         },
         {.restricted = true, .allowed = listed});
  expect("bias",
         [&](R& r) {
           r.sampling.logit_bias = {{4, 100}, {greedy[0], 50}};
         },
         {.bias_ids = listed, .biases = biases});
  expect("masked", [](R& r) { r.min_tokens = 1, r.sampling.top_k = 2; },
         {.top_k = 2, .masked = listed});
  expect("seed", [](R& r) { r.sampling.seed.reset(); }, {});
  expect("choice", [](R& r) { r.choice = 2; }, {.choice = 2});
  expect("output index", [](R&) {}, {.output_index = 1});
}

}  // namespace
}  // namespace expertmesh
