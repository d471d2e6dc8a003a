// What a request gets: the same tokens whatever runs beside it, each block back, one end.
#include "attention_worker/core/attention_node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "attention_worker/core/test_util.h"

namespace expertmesh {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(AttentionNode, JoinsLoadsAndBecomesReady) {
  NodeRig rig;
  rig.node.Start(TestTime(0));
  EXPECT_EQ(rig.control.connects, 1);
  rig.node.OnLinkUp(TestTime(0));
  ASSERT_FALSE(rig.control.reports.empty());
  EXPECT_EQ(rig.control.reports.back().state, WorkerState::kLoading);
  rig.Settle(1);
  EXPECT_EQ(rig.control.reports.back().state, WorkerState::kReady);
  rig.Say(2);
  EXPECT_EQ(rig.transport.hello.name, "a0");
  EXPECT_EQ(rig.transport.hello.role, WorkerRole::kAttention);
  EXPECT_EQ(rig.transport.hello.incarnation, (Incarnation{1, 5}));
  EXPECT_EQ(rig.transport.hello.hidden, 1u);
}

TEST(AttentionNode, EndsItsLifeWhenTheLoadFails) {
  NodeRig rig;
  rig.compute.load_result = absl::DataLossError("model.safetensors is cut short");
  rig.node.Start(TestTime(0));
  rig.node.OnLinkUp(TestTime(0));
  rig.Settle(0);
  EXPECT_THAT(rig.host.exits, ElementsAre(rig.compute.load_result));
  EXPECT_NE(rig.control.reports.back().state, WorkerState::kReady);
}

TEST(AttentionNode, MakesTheTokensOfTheModelAndGivesItsBlocksBack) {
  NodeRig rig;
  rig.Serve();
  TestClient client;
  rig.Submit(1, rig.Request(Prompt(5), 7), client);
  ASSERT_TRUE(rig.RunUntil(client, 1));
  EXPECT_EQ(rig.node.used_blocks(), 2) << "for what is known";
  rig.Settle(0);
  ExpectServed(client, Reference(Prompt(5), 7));
  EXPECT_EQ(client.last.finish, FinishReason::kLength);
  EXPECT_EQ(client.last.usage, (Usage{5, 7, 0}));
  EXPECT_EQ(client.deltas, 7) << "a token is passed on as soon as it is made";
  EXPECT_EQ(rig.node.used_blocks(), 0);
  EXPECT_EQ(rig.node.sequences(), 0u);
}

// The first promise, in small: neither the cut of prompts nor the company changes a bit.
TEST(AttentionNode, MakesTheSameTokensWhateverTheCutAndTheCompany) {
  for (SchedulerLimits limits :
       {SchedulerLimits{64, 64}, {64, 1}, {64, 3}, {5, 64}, {3, 2}, {1, 1}}) {
    SCOPED_TRACE(absl::StrCat("rows ", limits.max_step_rows, ", chunk ", limits.prefill_chunk));
    NodeRig rig({.scheduler = limits, .max_sequences = 5, .max_waiting = 100});
    rig.Serve();
    std::vector<TestClient> clients(12);
    for (int i = 0; i < 12; ++i) {
      GenerateRequest request = rig.Request(Prompt(1 + i * 7 % 20, i), 1 + i * 5 % 9);
      request.prompt_logprobs = i % 2 == 0;
      rig.Submit(static_cast<RequestId>(i), std::move(request), clients[i]);
      if (i % 3 == 0) rig.Round(0);
    }
    rig.Settle(0);
    for (int i = 0; i < 12; ++i) {
      SCOPED_TRACE(i);
      const Reference reference(Prompt(1 + i * 7 % 20, i), 1 + i * 5 % 9);
      ExpectServed(clients[i], reference);
      if (i % 2 == 0 && !reference.prompt_logprobs.empty()) {
        EXPECT_THAT(clients[i].prompt_logprobs, ElementsAre(reference.prompt_logprobs));
      } else {
        EXPECT_THAT(clients[i].prompt_logprobs, IsEmpty());
      }
    }
    EXPECT_LE(rig.compute.most_rows, limits.max_step_rows);
    EXPECT_EQ(rig.node.used_blocks(), 0);
  }
}

TEST(AttentionNode, TellsThePromptsLogprobsInOrderBeforeTheFirstToken) {
  NodeRig rig({.scheduler = {.max_step_rows = 4, .prefill_chunk = 4}});
  rig.Serve();
  TestClient client;
  GenerateRequest request = rig.Request(Prompt(11), 2);
  request.prompt_logprobs = true;
  rig.Submit(1, std::move(request), client);
  ASSERT_TRUE(rig.RunUntil(client, 1));
  const Reference reference(Prompt(11), 2);
  EXPECT_THAT(client.prompt_logprobs, ElementsAre(reference.prompt_logprobs));
  EXPECT_EQ(client.deltas, 1) << "all in one piece, with the first token";
  rig.Settle(0);
  ExpectServed(client, reference);
  EXPECT_EQ(client.prompt_logprobs.size(), 1u) << "and once";
}

TEST(AttentionNode, TellsAsManyTopLogprobsAsAskedForOfOutputsAlone) {
  NodeRig rig;
  rig.Serve();
  TestClient client, without;
  GenerateRequest request = rig.Request(Prompt(6), 3);
  request.top_logprobs = 4;
  request.prompt_logprobs = true;
  rig.Submit(1, std::move(request), client);
  rig.Submit(2, rig.Request(Prompt(6), 3), without);
  rig.Settle(0);
  EXPECT_THAT(client.top_sizes, ElementsAre(4, 4, 4));
  EXPECT_THAT(without.top_sizes, ElementsAre(0, 0, 0));
}

// What a step is told of sampling: each sequence's own request, ids and place, whoever runs beside.
TEST(AttentionNode, TellsTheComputeHalfWhatDecidesEachId) {
  NodeRig rig({.scheduler = {.max_step_rows = 9, .prefill_chunk = 4}, .eos = {49}});
  rig.Serve();
  std::vector<TestClient> clients(2);
  for (int i : {0, 1}) {
    GenerateRequest request = NodeRig::Request(Prompt(5 + 4 * i, i), 6);
    request.prompt_logprobs = true;  // rows that choose nothing
    request.ignore_eos = true;
    request.stop_token_ids = {48};
    request.min_tokens = 2 + i;
    request.choice = i;
    request.sampling.seed = i + 1;
    request.sampling.frequency_penalty = 0.5f;
    request.sampling.logit_bias = {{i, -1}};
    rig.Submit(i, std::move(request), clients[i]);
  }
  rig.Settle(0);
  for (int i : {0, 1}) {
    SCOPED_TRACE(i);
    const TestClient& client = clients[i];
    ASSERT_EQ(client.ids.size(), 6u);
    const std::vector<int32_t> prompt = Prompt(5 + 4 * i, i);
    std::map<int32_t, int32_t> seen;
    for (int32_t id : prompt) seen[id] = 0;
    int32_t index = 0;
    for (const SamplingState& state : rig.compute.asked) {
      if (state.seed() != static_cast<uint64_t>(i + 1)) continue;
      EXPECT_EQ(state.choice(), i);
      EXPECT_EQ(state.output_index(), index);
      EXPECT_THAT(state.bias_ids(), ElementsAre(i));
      const std::vector<int32_t> masked(state.masked().begin(), state.masked().end());
      EXPECT_EQ(masked, index < 2 + i ? std::vector<int32_t>{48} : std::vector<int32_t>());
      std::map<int32_t, int32_t> told;
      for (size_t k = 0; k < state.seen_ids().size(); ++k) {
        told[state.seen_ids()[k]] = state.seen_counts()[k];
      }
      EXPECT_EQ(told, seen) << "output " << index;
      ++seen[client.ids[index++]];
    }
    EXPECT_EQ(index, 6);
  }
}

// Whatever the cut, what comes after it is what would have come.
TEST(AttentionNode, GoesOnWithAnAnswerThatWasBegunElsewhere) {
  const Reference whole({4, 8, 15}, 9);
  for (int32_t cut = 0; cut < 9; ++cut) {
    NodeRig rig;
    rig.Serve();
    TestClient client;
    GenerateRequest request = rig.Request({4, 8, 15}, 9);
    request.prompt_logprobs = true;
    request.resumed.assign(whole.ids.begin(), whole.ids.begin() + cut);
    rig.Submit(1, std::move(request), client);
    rig.Settle(0);
    EXPECT_EQ(client.ids, std::vector<int32_t>(whole.ids.begin() + cut, whole.ids.end())) << cut;
    EXPECT_EQ(client.logprobs,
              std::vector<float>(whole.logprobs.begin() + cut, whole.logprobs.end()));
    ASSERT_EQ(client.prompt_logprobs.size(), 1u);
    EXPECT_EQ(client.prompt_logprobs[0], whole.prompt_logprobs);
    EXPECT_EQ(client.last.usage.output_tokens, 9) << "of the whole answer";
    EXPECT_EQ(rig.node.used_blocks(), 0);
  }
}

TEST(AttentionNode, RefusesToGoOnWithAnAnswerThatHadEnded) {
  NodeRig rig({.eos = {7}});
  rig.Serve();
  TestClient client;
  GenerateRequest request = rig.Request({4}, 9);
  request.resumed = {5, 7};
  rig.Submit(1, std::move(request), client);
  ASSERT_EQ(client.ends.size(), 1u);
  EXPECT_EQ(client.ends[0].code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.ends[0].message(),
            "resume.token_ids[1] is 7, which ended the answer; nothing is left to make");
}

TEST(AttentionNode, StopsAtAStopTokenAndSaysWhich) {
  const Reference reference(Prompt(5), 8);
  const int32_t stop = reference.ids[4];
  const auto first = std::find(reference.ids.begin(), reference.ids.end(), stop);
  const std::vector<int32_t> until(reference.ids.begin(), first + 1);
  for (bool by_request : {false, true}) {
    NodeRig rig({.eos = by_request ? std::vector<int32_t>{} : std::vector<int32_t>{stop}});
    rig.Serve();
    TestClient client, deaf;
    GenerateRequest request = rig.Request(Prompt(5), 8);
    if (by_request) request.stop_token_ids = {stop};
    rig.Submit(1, request, client);
    request.stop_token_ids.clear();
    request.ignore_eos = true;
    rig.Submit(2, request, deaf);
    rig.Settle(0);
    EXPECT_EQ(client.ids, until);
    EXPECT_EQ(client.last.finish, FinishReason::kStop);
    EXPECT_EQ(client.last.stop_token_id, stop);
    EXPECT_THAT(client.ends, ElementsAre(absl::OkStatus()));
    EXPECT_EQ(deaf.ids, reference.ids);
    EXPECT_EQ(deaf.last.finish, FinishReason::kLength);
  }
}

TEST(AttentionNode, RunsNoMoreSequencesThanItMayAndTakesOthersInOrder) {
  NodeRig rig({.max_sequences = 2});
  rig.Serve();
  std::vector<TestClient> clients(4);
  for (int i = 0; i < 4; ++i) rig.Submit(i, rig.Request(Prompt(3, i), 4), clients[i]);
  ASSERT_TRUE(rig.RunUntil(clients[1], 1));
  EXPECT_THAT(clients[2].ids, IsEmpty());
  ASSERT_TRUE(rig.RunUntil(clients[2], 1));
  EXPECT_TRUE(clients[0].ended());
  EXPECT_TRUE(clients[1].ended());
  rig.Settle(0);
  for (int i = 0; i < 4; ++i) ExpectServed(clients[i], Reference(Prompt(3, i), 4));
}

TEST(AttentionNode, WaitsForBlocksAndOvertakesNobody) {
  NodeRig rig({.blocks = 5});  // 20 positions
  rig.Serve();
  TestClient large, larger, small;
  rig.Submit(1, rig.Request(Prompt(9), 3), large);       // 3 blocks
  rig.Submit(2, rig.Request(Prompt(10, 1), 6), larger);  // 3 blocks, and one to go on
  rig.Submit(3, rig.Request(Prompt(2, 2), 2), small);    // 1 block: it would fit
  ASSERT_TRUE(rig.RunUntil(large, 2));
  EXPECT_EQ(rig.node.used_blocks(), 3);
  rig.Settle(0);
  ExpectServed(large, Reference(Prompt(9), 3));
  ExpectServed(larger, Reference(Prompt(10, 1), 6));
  ExpectServed(small, Reference(Prompt(2, 2), 2));
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

TEST(AttentionNode, SendsAStepWithADecodeRowInTheDecodeLane) {
  NodeRig rig({.scheduler = {.max_step_rows = 16, .prefill_chunk = 3}});
  rig.Serve();
  TestClient first, second, third;
  rig.Submit(1, rig.Request(Prompt(3), 9), first);
  const auto last_lane = [&] { return rig.transport.channels[0]->dispatches.back().header.lane; };
  rig.Settle(0);
  EXPECT_EQ(rig.transport.channels[0]->dispatches.front().header.lane, Lane::kPrefill);
  EXPECT_EQ(last_lane(), Lane::kDecode);

  rig.Submit(2, rig.Request(Prompt(3), 30), second);
  ASSERT_TRUE(rig.RunUntil(second, 2));
  rig.Submit(3, rig.Request(Prompt(12, 1), 1), third);  // prompt rows beside decode rows
  ASSERT_TRUE(rig.RunUntil(third, 1));
  EXPECT_EQ(last_lane(), Lane::kDecode);
  for (const auto& channel : rig.transport.channels) {
    EXPECT_EQ(channel->dispatches.back().header.call.sender, (Incarnation{1, 5}));
  }
}

TEST(AttentionNode, ReportsHowManyRunAndWait) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  TestClient running, waiting;
  rig.Submit(1, rig.Request(Prompt(3), 9), running);
  rig.Submit(2, rig.Request(Prompt(3), 9), waiting);
  rig.answering = false;
  rig.Settle(0);
  rig.Round(250);  // the load of now
  rig.Round(500);
  EXPECT_EQ(rig.control.reports.back().load.running_sequences, 1u);
  EXPECT_EQ(rig.control.reports.back().load.waiting_sequences, 1u);
}

}  // namespace
}  // namespace expertmesh
