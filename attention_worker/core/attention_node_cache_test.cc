// What sequences share of the latent cache, and how they push each other out of it: never to be
// seen in a token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "attention_worker/core/attention_node.h"
#include "attention_worker/core/test_util.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

GenerateRequest Salted(GenerateRequest request, const std::string& salt) {
  request.cache_salt = salt;
  return request;
}

TEST(LatentCache, ALaterRequestTakesOverWhatAnEarlierOneComputed) {
  NodeRig rig;
  rig.Serve();
  TestClient first, same, longer, other;
  rig.Submit(1, rig.Request(Prompt(11), 3), first);
  rig.Settle(0);
  EXPECT_EQ(first.last.usage.cached_tokens, 0);
  int32_t before = rig.compute.all_rows;
  rig.Submit(2, rig.Request(Prompt(11), 3), same);
  rig.Settle(0);
  ExpectServed(same, Reference(Prompt(11), 3));
  EXPECT_EQ(same.last.usage.cached_tokens, 10) << "all but the last, whose logits are wanted";
  EXPECT_EQ(rig.compute.all_rows - before, 3);

  // A next turn: prompt and answer so far, and more.
  std::vector<int32_t> turn = Prompt(11);
  turn.insert(turn.end(), first.ids.begin(), first.ids.end());
  turn.insert(turn.end(), {7, 7, 7});
  before = rig.compute.all_rows;
  rig.Submit(3, rig.Request(turn, 2), longer);
  rig.Settle(0);
  ExpectServed(longer, Reference(turn, 2));
  EXPECT_EQ(longer.last.usage.cached_tokens, 13) << "the last of the answer was never put in";
  EXPECT_EQ(rig.compute.all_rows - before, 4 + 1);

  std::vector<int32_t> differs = Prompt(11);
  differs[5] = 49;
  rig.Submit(4, rig.Request(differs, 2), other);
  rig.Settle(0);
  ExpectServed(other, Reference(differs, 2));
  EXPECT_EQ(other.last.usage.cached_tokens, 5);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(LatentCache, OfManyThatBeginAlikeOneComputesItForAll) {
  NodeRig rig;
  rig.Serve();
  std::vector<TestClient> clients(5);
  for (int i = 0; i < 5; ++i) {
    GenerateRequest request = rig.Request(Prompt(18), 4);
    request.choice = i;
    rig.Submit(i, std::move(request), clients[i]);
  }
  rig.Settle(0);
  for (const TestClient& client : clients) ExpectServed(client, Reference(Prompt(18), 4));
  EXPECT_EQ(rig.compute.all_rows, 18 + 3 + 4 * 4);
  EXPECT_EQ(clients[0].last.usage.cached_tokens, 0);
  EXPECT_EQ(clients[4].last.usage.cached_tokens, 17);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

// Two that wait for one and the same: a third, of another prompt, does not wait with them.
TEST(LatentCache, WhoWaitsForAnothersLatentsHoldsNobodyUp) {
  NodeRig rig({.scheduler = {.max_step_rows = 64, .prefill_chunk = 4}});
  rig.Serve();
  TestClient first, same, other;
  rig.Submit(1, rig.Request(Prompt(24), 2), first);
  rig.Submit(2, rig.Request(Prompt(24), 2), same);
  rig.Submit(3, rig.Request(Prompt(3, 1), 2), other);
  ASSERT_TRUE(rig.RunUntil(other, 1));
  EXPECT_THAT(first.ids, IsEmpty());
  rig.Settle(0);
  ExpectServed(same, Reference(Prompt(24), 2));
  EXPECT_EQ(same.last.usage.cached_tokens, 23);
}

// Waiting must not take longer than it saves.
TEST(LatentCache, NobodyWaitsForALongPromptForTheSakeOfAShortBeginning) {
  NodeRig rig({.scheduler = {.max_step_rows = 64, .prefill_chunk = 4}});
  rig.Serve();
  TestClient first, other;
  std::vector<int32_t> begins_alike = Prompt(6);
  begins_alike.push_back(49);
  rig.Submit(1, rig.Request(Prompt(40), 2), first);
  rig.Submit(2, rig.Request(begins_alike, 2), other);
  ASSERT_TRUE(rig.RunUntil(other, 1));
  EXPECT_THAT(first.ids, IsEmpty());
  rig.Settle(0);
  ExpectServed(other, Reference(begins_alike, 2));
}

TEST(LatentCache, SaltsShareNothing) {
  NodeRig rig;
  rig.Serve();
  TestClient mine, yours, mine_again;
  rig.Submit(1, Salted(rig.Request(Prompt(9), 2), "mine"), mine);
  rig.Settle(0);
  rig.Submit(2, Salted(rig.Request(Prompt(9), 2), "yours"), yours);
  rig.Settle(0);
  rig.Submit(3, Salted(rig.Request(Prompt(9), 2), "mine"), mine_again);
  rig.Settle(0);
  EXPECT_EQ(yours.last.usage.cached_tokens, 0);
  EXPECT_EQ(mine_again.last.usage.cached_tokens, 8);
}

TEST(LatentCache, APromptWhoseLogprobsAreWantedIsComputed) {
  NodeRig rig;
  rig.Serve();
  TestClient first, scored;
  rig.Submit(1, rig.Request(Prompt(9), 2), first);
  rig.Settle(0);
  GenerateRequest request = rig.Request(Prompt(9), 2);
  request.prompt_logprobs = true;
  rig.Submit(2, std::move(request), scored);
  rig.Settle(0);
  EXPECT_EQ(scored.last.usage.cached_tokens, 0);
  EXPECT_THAT(scored.prompt_logprobs, ElementsAre(Reference(Prompt(9), 2).prompt_logprobs));
}

// The rows of a request that ends in mid-step ask no expert any more: what they would leave behind
// is nothing that anybody may use.
TEST(LatentCache, NobodyTakesOverWhatACancelledStepLeft) {
  NodeRig rig({.scheduler = {.max_step_rows = 64, .prefill_chunk = 6}});
  rig.Serve();
  TestClient cancelled, next;
  rig.Submit(1, rig.Request(Prompt(20), 3), cancelled);
  const auto dispatches = [&] { return rig.transport.channels[0]->dispatches.size(); };
  while (dispatches() < 3) rig.Round(0);  // the second chunk, between its layers
  rig.node.Cancel(1);
  rig.Settle(0);
  rig.Submit(2, rig.Request(Prompt(20), 3), next);
  rig.Settle(0);
  ExpectServed(next, Reference(Prompt(20), 3));
  EXPECT_EQ(next.last.usage.cached_tokens, 0) << "nobody has seen what came of it";
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

// All of its prompt but the last token, whose logits alone tell whether the rest is finite.
TEST(LatentCache, NobodyTakesOverAPromptThatIsCutOffBeforeItsLastToken) {
  NodeRig rig({.scheduler = {.max_step_rows = 64, .prefill_chunk = 8}});
  rig.Serve();
  TestClient cancelled, next;
  rig.Submit(1, rig.Request(Prompt(9), 3), cancelled);
  while (rig.compute.all_rows < 9) rig.Round(0);  // the last row has begun
  rig.node.Cancel(1);
  rig.Settle(0);
  rig.Submit(2, rig.Request(Prompt(9), 3), next);
  rig.Settle(0);
  ExpectServed(next, Reference(Prompt(9), 3));
  EXPECT_EQ(next.last.usage.cached_tokens, 0);
}

TEST(LatentCache, NobodyTakesOverWhatIsNotFinite) {
  NodeRig rig;
  rig.Serve();
  TestClient poisoned, next;
  rig.compute.poison = NAN;
  rig.Submit(1, rig.Request(Prompt(9), 3), poisoned);
  rig.Settle(0);
  EXPECT_EQ(poisoned.ends.at(0).code(), absl::StatusCode::kInternal);
  rig.compute.poison.reset();
  rig.Submit(2, rig.Request(Prompt(9), 3), next);
  rig.Settle(0);
  EXPECT_EQ(next.last.usage.cached_tokens, 0);
  ExpectServed(next, Reference(Prompt(9), 3));
}

// ---- preemption

TEST(Preemption, GivesEveryoneTheSameTokensAndIsBounded) {
  int64_t preemptions = 0;
  for (int32_t blocks : {8, 9, 12, 17}) {
    SCOPED_TRACE(absl::StrCat(blocks, " blocks"));
    NodeRig rig({.scheduler = {.max_step_rows = 32, .prefill_chunk = 5},
                 .max_sequences = 8,
                 .max_waiting = 200,
                 .blocks = blocks,
                 .max_context = 32});
    rig.Serve();
    std::vector<TestClient> clients(120);
    const auto request = [&](int i) {
      GenerateRequest request = rig.Request(Prompt(1 + i % 7, i), 32 - (1 + i % 7));
      request.priority = i % 5 == 0 ? 30 : 0;
      request.prompt_logprobs = i % 4 == 0;
      return request;
    };
    for (int i = 0; i < 120; ++i) {
      rig.Submit(i, request(i), clients[i]);
      if (i % 9 == 0) rig.Round(0);
    }
    rig.Settle(0);
    for (int i = 0; i < 120; ++i) {
      SCOPED_TRACE(i);
      const Reference reference(request(i).prompt, request(i).max_tokens);
      ExpectServed(clients[i], reference);
      if (i % 4 != 0 || reference.prompt_logprobs.empty()) continue;
      EXPECT_THAT(clients[i].prompt_logprobs, ElementsAre(reference.prompt_logprobs));
    }
    preemptions += rig.node.preemptions();
    EXPECT_LE(rig.node.most_preemptions(), 8);
    EXPECT_EQ(rig.node.used_blocks(), 0);
    EXPECT_TRUE(rig.node.CheckCache().ok()) << rig.node.CheckCache();
  }
  EXPECT_GE(preemptions, 300);
  std::printf("%ld preemptions\n", static_cast<long>(preemptions));
}

TEST(Preemption, TakesTheLowestPriorityThenTheYoungestNeverTheOldest) {
  NodeRig rig({.blocks = 6, .max_context = 24});
  rig.Serve();
  TestClient oldest, low, high;
  GenerateRequest request = rig.Request(Prompt(4), 20);
  request.priority = -50;
  rig.Submit(1, request, oldest);
  ASSERT_TRUE(rig.RunUntil(oldest, 1));
  request = rig.Request(Prompt(4, 1), 12);
  rig.Submit(2, request, low);
  ASSERT_TRUE(rig.RunUntil(low, 1));
  request = rig.Request(Prompt(4, 2), 8);
  request.priority = 50;
  rig.Submit(3, request, high);
  rig.Settle(0);
  EXPECT_GT(rig.node.preemptions(), 0);
  ExpectServed(oldest, Reference(Prompt(4), 20));
  ExpectServed(low, Reference(Prompt(4, 1), 12));
  ExpectServed(high, Reference(Prompt(4, 2), 8));
}

// ---- who is next

TEST(Admission, GoesByPriorityThenByCallerThenByAge) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  std::vector<TestClient> clients(6);
  std::vector<int> order;
  const auto submit = [&](int i, const std::string& caller, int32_t priority) {
    GenerateRequest request = rig.Request(Prompt(4, i), 3);
    request.caller = caller;
    request.priority = priority;
    rig.Submit(i, std::move(request), clients[i]);
  };
  submit(0, "greedy", 0);
  ASSERT_TRUE(rig.RunUntil(clients[0], 1));
  submit(1, "greedy", 0);
  submit(2, "greedy", 0);
  submit(3, "modest", 0);
  submit(4, "modest", -1);
  submit(5, "greedy", 1);
  while (order.size() < 6) {
    ASSERT_TRUE(rig.Round(0));
    for (int i = 0; i < 6; ++i) {
      const bool seen = std::find(order.begin(), order.end(), i) != order.end();
      if (!seen && clients[i].ended()) order.push_back(i);
    }
  }
  EXPECT_THAT(order, ElementsAre(0, 5, 3, 1, 2, 4));
}

TEST(Admission, AgeMakesUpForPriority) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  TestClient running, old, urgent;
  rig.Submit(1, rig.Request(Prompt(4), 20), running);
  ASSERT_TRUE(rig.RunUntil(running, 1));
  rig.Submit(2, rig.Request(Prompt(4, 1), 2), old, 0);
  GenerateRequest request = rig.Request(Prompt(4, 2), 2);
  request.priority = 3;
  rig.Submit(3, std::move(request), urgent, 3900);
  while (!running.ended()) ASSERT_TRUE(rig.Round(4000));
  while (!old.ended()) ASSERT_TRUE(rig.Round(4000));
  EXPECT_FALSE(urgent.ended()) << "three levels, and four seconds";
}

TEST(Admission, ADeadlineThatTheQueueWillMissIsRefusedAtOnce) {
  NodeRig rig({.max_sequences = 1, .max_waiting = 100});
  rig.Serve();
  std::vector<TestClient> clients(12);
  for (int i = 0; i < 12; ++i) rig.Submit(i, rig.Request(Prompt(3, i), 1), clients[i]);
  int64_t ms = 0;
  while (!clients[7].ended()) ASSERT_TRUE(rig.Round(ms += 10));  // several rounds for each
  TestClient late, in_time;
  GenerateRequest request = rig.Request(Prompt(3, 30), 1);
  request.deadline = TestTime(ms + 5);
  rig.Submit(20, request, late, ms);
  ASSERT_TRUE(late.ended());
  EXPECT_EQ(late.ends[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfter(late.ends[0]).has_value());
  request.priority = 100;
  TestClient urgent;
  request.deadline = TestTime(ms + 80);
  rig.Submit(22, request, urgent, ms);
  EXPECT_FALSE(urgent.ended()) << "nobody goes before it";
  request.priority = 0;
  request.deadline = TestTime(ms + 60'000);
  rig.Submit(21, request, in_time, ms);
  EXPECT_FALSE(in_time.ended());
}

}  // namespace
}  // namespace expertmesh
