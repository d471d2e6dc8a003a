// What an attention worker does when experts are lost in the midst of a step, and with what is no
// number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "attention_worker/core/test_node.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<int32_t> kPrompt = {4, 8, 15, 16, 23};

void ExpectEnd(const TestClient& client, absl::StatusCode code, const char* text) {
  ASSERT_EQ(client.ends.size(), 1u);
  EXPECT_EQ(client.ends[0].code(), code) << client.ends[0];
  EXPECT_THAT(std::string(client.ends[0].message()), HasSubstr(text));
  EXPECT_EQ(client.deltas_after_end, 0);
}

void ExpectServed(const TestClient& client, int32_t outputs) {
  EXPECT_EQ(client.ids, Reference(kPrompt, outputs).ids);
  EXPECT_THAT(client.ends, ElementsAre(absl::OkStatus()));
}

// ---- experts lost in the middle

TEST(AttentionNodeLoss, EndsOnlyThoseWhoseRowsWereLostByName) {
  // Whose token 9 takes which experts in the first MoE layer is the stub's business: of many
  // requests some ask e1 for a row, some do not.
  NodeRig rig({.max_sequences = 64, .max_waiting = 64});
  rig.Serve();
  rig.answering = false;
  std::vector<TestClient> clients(24);
  for (int i = 0; i < 24; ++i) rig.Submit(i, rig.Request({i}, 1), clients[i]);
  rig.Settle(0);
  const SentMessage dispatch = rig.transport.To("e1")->dispatches.back();
  rig.Close("e1", 1);
  rig.Settle(1);
  rig.Settle(2001);  // as long as they wait for coverage
  const auto ended = [&] {
    return std::count_if(clients.begin(), clients.end(), [](auto& c) { return c.ended(); });
  };
  EXPECT_EQ(ended(), static_cast<int64_t>(dispatch.header.rows)) << "the step still runs";
  rig.answering = true;
  rig.Settle(2002);
  rig.Settle(4002);
  int lost = 0;
  for (int i = 0; i < 24; ++i) {
    if (clients[i].ends.size() == 1 && clients[i].ends[0].ok()) {
      EXPECT_EQ(clients[i].ids, Reference({i}, 1).ids) << "no zero has leaked into it";
      continue;
    }
    ++lost;
    ExpectEnd(clients[i], absl::StatusCode::kAborted, "uncovered: layers 1-2: experts 2-3");
    EXPECT_TRUE(RetryAfter(clients[i].ends[0]).has_value());
    EXPECT_THAT(clients[i].ids, IsEmpty()) << "never a wrong token";
  }
  EXPECT_GE(lost, static_cast<int>(dispatch.header.rows));
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(AttentionNodeLoss, WhatRunsWaitsForTheExpertsAndHasTheSameTokens) {
  NodeRig rig;
  rig.Serve();
  TestClient client, next;
  rig.Submit(1, rig.Request(kPrompt, 9), client);
  ASSERT_TRUE(rig.RunUntil(client, 2));
  rig.Close("e0", 10);
  rig.Close("e1", 10);
  rig.Submit(2, rig.Request(kPrompt, 3), next, 20);
  rig.Settle(200);
  EXPECT_FALSE(client.ended());
  EXPECT_THAT(next.ids, IsEmpty()) << "nothing new begins meanwhile";
  rig.Open("e0", 1210);
  rig.Settle(1210);
  EXPECT_FALSE(client.ended());
  rig.Open("e1", 1900);
  rig.Settle(1900);
  ExpectServed(client, 9);
  ExpectServed(next, 3);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(AttentionNodeLoss, WhatRunsEndsByNameWhenNobodyComesAndTheNextIsServed) {
  NodeRig rig;
  rig.Serve();
  TestClient client, next;
  rig.Submit(1, rig.Request(kPrompt, 9), client);
  ASSERT_TRUE(rig.RunUntil(client, 2));
  rig.Close("e0", 10);
  rig.Close("e1", 10);
  rig.Settle(10);
  rig.Settle(2009);
  EXPECT_FALSE(client.ended());
  EXPECT_EQ(rig.node.NextWakeup(), TestTime(2010));
  rig.Settle(2010);
  ExpectEnd(client, absl::StatusCode::kAborted, "uncovered: layers 1-2: experts 0-3");
  EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
  EXPECT_EQ(client.ids, Reference(kPrompt, client.ids.size()).ids);
  rig.Submit(2, rig.Request(kPrompt, 3), next, 2020);
  rig.Open("e0", 2030);
  rig.Open("e1", 2030);
  rig.Settle(2030);
  ExpectServed(next, 3);
}

TEST(AttentionNodeLoss, WhoIsCancelledOrLateWhileTheStepWaitsLeavesItAtOnce) {
  for (const bool cancelled : {true, false}) {
    NodeRig rig;
    rig.Serve();
    TestClient client;
    GenerateRequest request = rig.Request(kPrompt, 9);
    request.deadline = TestTime(500);
    rig.Submit(1, std::move(request), client);
    ASSERT_TRUE(rig.RunUntil(client, 2));
    rig.Close("e0", 10);
    rig.Close("e1", 10);
    rig.Settle(10);
    EXPECT_LE(rig.node.NextWakeup(), TestTime(500));
    if (cancelled) rig.node.Cancel(1);
    rig.Settle(cancelled ? 20 : 500);
    ExpectEnd(client,
              cancelled ? absl::StatusCode::kCancelled : absl::StatusCode::kDeadlineExceeded, "");
    EXPECT_EQ(rig.node.used_blocks(), 0) << "its blocks are free";
    EXPECT_EQ(rig.node.sequences(), 0u);
  }
}

// ---- what is no number, and what is of another arithmetic

TEST(AttentionNodeLogits, ThatAreNotFiniteEndTheirSequenceAlone) {
  for (const float poison : {NAN, INFINITY, -INFINITY}) {
    NodeRig rig;
    rig.Serve();
    TestClient client, other;
    rig.Submit(1, rig.Request(kPrompt, 9), client);
    rig.Submit(2, rig.Request(kPrompt, 4), other);
    ASSERT_TRUE(rig.RunUntil(client, 2));
    rig.compute.poison = poison;  // of the first output
    while (!client.ended()) ASSERT_TRUE(rig.Round(0));
    rig.compute.poison.reset();
    ExpectEnd(client, absl::StatusCode::kInternal, "logits are not finite");
    EXPECT_EQ(client.ids.size(), 2u);
    rig.Settle(0);
    ExpectServed(other, 4);
    EXPECT_EQ(rig.node.used_blocks(), 0);
  }
}

TEST(AttentionNodeLogits, ThatAreNotFiniteEndAPromptToo) {
  NodeRig rig;
  rig.Serve();
  TestClient client;
  GenerateRequest request = rig.Request(kPrompt, 9);
  request.prompt_logprobs = true;
  rig.compute.poison = NAN;  // of the second prompt token
  rig.Submit(1, std::move(request), client);
  rig.Settle(0);
  ExpectEnd(client, absl::StatusCode::kInternal, "logits are not finite");
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(AttentionNodeClasses, WhoBeganWithOneClassIsNotContinuedWithAnother) {
  NodeRig rig;
  rig.Serve();
  TestClient client, next;
  rig.Submit(1, rig.Request(kPrompt, 9), client);
  ASSERT_TRUE(rig.RunUntil(client, 2));
  Member other = rig.Expert("e2", 2, 3);
  other.compute_class = {"cpu-amx-bf16", 9};
  rig.Say(10, TopologyOf(StubModel::kGrid, {rig.Expert("e0", 0, 1), other}, 2));
  ExpectEnd(client, absl::StatusCode::kAborted, "of another compute class");
  EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
  rig.Open("e2", 10);
  rig.Submit(2, rig.Request(kPrompt, 2), next, 10);
  rig.Settle(10);
  ExpectServed(next, 2);
  EXPECT_EQ(next.last.usage.cached_tokens, 0) << "latents of the other class";
}

}  // namespace
}  // namespace expertmesh
