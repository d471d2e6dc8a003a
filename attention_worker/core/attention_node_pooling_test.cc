// Requests that ask about their prompt alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "attention_worker/core/attention_node.h"
#include "attention_worker/core/pooling.h"
#include "attention_worker/core/test_util.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

GenerateRequest Pooled(std::vector<int32_t> prompt, Pooling pooling, bool normalise = false) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.pooling = pooling;
  request.normalise = normalise;
  return request;
}

// The stub's hidden state at a position.
std::vector<float> StateAt(const std::vector<int32_t>& prompt, size_t position) {
  return StubModel::State(Reference::At(prompt, position));
}

std::vector<float> AllStates(const std::vector<int32_t>& prompt) {
  std::vector<float> all;
  for (size_t p = 0; p < prompt.size(); ++p) {
    for (float value : StateAt(prompt, p)) all.push_back(value);
  }
  return all;
}

void ExpectTold(const TestClient& client, const std::vector<float>& values, int32_t prompt) {
  EXPECT_EQ(client.ends, std::vector<absl::Status>{absl::OkStatus()});
  EXPECT_THAT(client.values, ElementsAreArray(values));
  EXPECT_THAT(client.ids, IsEmpty());
  EXPECT_EQ(client.last.finish, FinishReason::kPrompt);
  EXPECT_EQ(client.last.usage.prompt_tokens, prompt);
  EXPECT_EQ(client.last.usage.output_tokens, 0);
}

TEST(PooledRequest, TellsTheLastStateOrAllOrTheirMean) {
  NodeRig rig;
  rig.Serve();
  const std::vector<int32_t> prompt = Prompt(13);
  TestClient last, all, mean;
  rig.Submit(1, Pooled(prompt, Pooling::kLast), last);
  rig.Submit(2, Pooled(prompt, Pooling::kAll), all);
  rig.Submit(3, Pooled(prompt, Pooling::kMean), mean);
  rig.Settle(0);
  ExpectTold(last, StateAt(prompt, 12), 13);
  ExpectTold(all, AllStates(prompt), 13);
  std::vector<double> sums(2);
  for (size_t p = 0; p < prompt.size(); ++p) {
    for (size_t i = 0; i < 2; ++i) sums[i] += StateAt(prompt, p)[i];
  }
  ExpectTold(mean, {static_cast<float>(sums[0] / 13), static_cast<float>(sums[1] / 13)}, 13);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(PooledRequest, IsTheSameHoweverThePromptIsCut) {
  const std::vector<int32_t> prompt = Prompt(30);
  for (Pooling pooling : {Pooling::kLast, Pooling::kAll, Pooling::kMean}) {
    for (bool normalise : {false, true}) {
      std::vector<std::vector<float>> told;
      for (int32_t chunk : {1, 4, 7, 64}) {
        NodeRig rig({.scheduler = {.max_step_rows = 64, .prefill_chunk = chunk}});
        rig.Serve();
        TestClient client;
        rig.Submit(1, Pooled(prompt, pooling, normalise), client);
        rig.Settle(0);
        EXPECT_EQ(client.ends, std::vector<absl::Status>{absl::OkStatus()});
        told.push_back(client.values);
      }
      for (const auto& values : told) EXPECT_EQ(values, told[0]);
      ASSERT_THAT(told[0], SizeIs(pooling == Pooling::kAll ? 60 : 2));
      if (!normalise) continue;
      for (size_t i = 0; i < told[0].size(); i += 2) {
        EXPECT_NEAR(std::hypot(told[0][i], told[0][i + 1]), 1, 1e-6);
      }
    }
  }
}

// What was told of a prompt before its sequence lost its blocks is not told again.
TEST(PooledRequest, IsTheSameAfterPreemption) {
  NodeRig rig({.scheduler = {.max_step_rows = 8, .prefill_chunk = 4}, .blocks = 8});
  rig.Serve();
  std::vector<TestClient> clients(8);
  std::vector<Pooling> of = {Pooling::kAll, Pooling::kMean, Pooling::kLast};
  for (int i = 0; i < 8; ++i) {
    if (i % 2 == 0) {
      rig.Submit(i, rig.Request(Prompt(10, i), 14), clients[i]);
    } else {
      GenerateRequest request = Pooled(Prompt(17, i), of[i / 2 % 3]);
      request.priority = -1;
      rig.Submit(i, std::move(request), clients[i]);
    }
  }
  rig.Settle(0);
  for (int i = 1; i < 8; i += 2) {
    NodeRig quiet;
    quiet.Serve();
    TestClient alone;
    quiet.Submit(1, Pooled(Prompt(17, i), of[i / 2 % 3]), alone);
    quiet.Settle(0);
    ExpectTold(clients[i], alone.values, 17);
  }
  EXPECT_GT(rig.node.preemptions(), 0);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(PooledRequest, SharesThePrefixCacheWhereOneStateIsWanted) {
  NodeRig rig;
  rig.Serve();
  TestClient first, same, all, generated;
  rig.Submit(1, Pooled(Prompt(11), Pooling::kLast), first);
  rig.Settle(0);
  rig.Submit(2, Pooled(Prompt(11), Pooling::kLast), same);
  rig.Submit(3, Pooled(Prompt(11), Pooling::kAll), all);
  rig.Submit(4, rig.Request(Prompt(11), 3), generated);
  rig.Settle(0);
  EXPECT_EQ(same.last.usage.cached_tokens, 10);
  EXPECT_EQ(same.values, first.values);
  ExpectTold(all, AllStates(Prompt(11)), 11);
  EXPECT_EQ(all.last.usage.cached_tokens, 0);
  ExpectServed(generated, Reference(Prompt(11), 3));
  EXPECT_EQ(generated.last.usage.cached_tokens, 10);
}

TEST(PooledRequest, AClassifierLooksAtTheLastTokenThatIsNoPadding) {
  NodeRig rig({.labels = {"bad", "good"}, .pad = 7, .generates = false});
  rig.Serve();
  const auto logits_of = [&](std::vector<int32_t> prompt) {
    TestClient client;
    const auto tokens = static_cast<int32_t>(prompt.size());
    rig.Submit(1, Pooled(std::move(prompt), Pooling::kClasses), client);
    rig.Settle(0);
    EXPECT_EQ(client.last.usage.prompt_tokens, tokens);
    const bool good = client.values.at(1) > client.values.at(0);
    EXPECT_EQ(client.last.label, good ? "good" : "bad");
    return client.values;
  };
  EXPECT_EQ(logits_of({5, 6, 8}), StateAt({5, 6, 8}, 2));
  EXPECT_EQ(logits_of({5, 6, 8, 7, 7}), StateAt({5, 6, 8}, 2));
  EXPECT_EQ(logits_of({7, 5, 7, 8, 7}), StateAt({7, 5, 7, 8}, 3));
  EXPECT_EQ(logits_of({7, 7}), StateAt({7}, 0));
}

TEST(PooledRequest, IsRefusedWhereTheModelHasNoSuchHead) {
  NodeRig causal, bare({.generates = false}), classifier({.labels = {"a"}, .generates = false});
  const auto refusal = [](NodeRig& rig, GenerateRequest request) {
    rig.Serve();
    TestClient client;
    rig.Submit(1, std::move(request), client);
    EXPECT_THAT(client.ends, SizeIs(1));
    EXPECT_EQ(client.ends[0].code(), absl::StatusCode::kFailedPrecondition);
    return std::string(client.ends[0].message());
  };
  EXPECT_EQ(refusal(causal, Pooled(Prompt(3), Pooling::kClasses)),
            "the model is no classifier: it has no score head");
  EXPECT_EQ(refusal(bare, causal.Request(Prompt(3), 1)),
            "the model has no language-model head: it embeds, and generates not");
  EXPECT_EQ(refusal(classifier, causal.Request(Prompt(3), 1)),
            "the model is a classifier: it generates not");
}

TEST(PooledRequest, MayFillTheContext) {
  NodeRig rig;
  rig.Serve();
  TestClient fits, beyond;
  rig.Submit(1, Pooled(Prompt(64), Pooling::kLast), fits);
  rig.Submit(2, Pooled(Prompt(65), Pooling::kLast), beyond);
  rig.Settle(0);
  ExpectTold(fits, StateAt(Prompt(64), 63), 64);
  EXPECT_EQ(beyond.ends, std::vector<absl::Status>{absl::InvalidArgumentError(
                             "the prompt has 65 tokens; the context holds 64")});
}

TEST(PooledRequest, EndsWithInternalWhereAStateIsNotFinite) {
  for (Pooling pooling : {Pooling::kLast, Pooling::kMean, Pooling::kAll}) {
    NodeRig rig;
    rig.Serve();
    rig.compute.poison = NAN;
    TestClient client;
    rig.Submit(1, Pooled(Prompt(9), pooling), client);
    rig.Settle(0);
    EXPECT_EQ(client.ends, std::vector<absl::Status>{
                               absl::InternalError("the model's hidden states are not finite")});
    EXPECT_THAT(client.values, IsEmpty());
    EXPECT_EQ(rig.node.used_blocks(), 0);
  }
}

TEST(AddPooled, LeavesAStateOfZerosAsItIs) {
  std::vector<double> sums;
  std::vector<float> told;
  AddPooled(Pooled({1}, Pooling::kLast, /*normalise=*/true), {0.0f, 0.0f}, 1, sums, told);
  AddPooled(Pooled({1}, Pooling::kLast, /*normalise=*/true), {3.0f, 4.0f}, 1, sums, told);
  EXPECT_THAT(told, ElementsAre(0.0f, 0.0f, 0.6f, 0.8f));
}

}  // namespace
}  // namespace expertmesh
