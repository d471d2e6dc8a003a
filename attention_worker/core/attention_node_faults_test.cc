// What a request gets when something is wrong: one honest end, in time, and nobody else notices.
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

// ---- refused at once

TEST(AttentionNodeRefusal, NamesTheFieldOfABadRequest) {
  NodeRig rig;
  rig.Serve();
  const auto refused = [&](GenerateRequest request, const char* text) {
    TestClient client;
    rig.Submit(1, std::move(request), client);
    ExpectEnd(client, absl::StatusCode::kInvalidArgument, text);
    EXPECT_EQ(rig.node.sequences(), 0u);
  };
  refused(rig.Request({}, 1), "token_ids is empty");
  refused(rig.Request({1, 50}, 1), "token_ids[1] is 50");
  refused(rig.Request({1}, -1), "max_tokens is -1");
  refused(rig.Request(std::vector<int32_t>(60, 1), 5), "the context holds 64");
}

TEST(AttentionNodeRefusal, SaysWhenTheWeightsAreStillLoading) {
  NodeRig rig;
  rig.node.Start(TestTime(0));
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 1), client);
  ExpectEnd(client, absl::StatusCode::kUnavailable, "still loading");
  EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
}

TEST(AttentionNodeRefusal, SaysWhenTheQueueIsFull) {
  NodeRig rig({.max_sequences = 1, .max_waiting = 2});
  rig.Serve();
  std::vector<TestClient> clients(4);
  rig.Submit(0, rig.Request(kPrompt, 2), clients[0]);
  rig.Round(0);  // it runs
  for (int i = 1; i < 4; ++i) rig.Submit(i, rig.Request(kPrompt, 2), clients[i]);
  ExpectEnd(clients[3], absl::StatusCode::kResourceExhausted,
            "3 requests run or wait; at most 3 (--max-sequences and --max-waiting together)");
  EXPECT_TRUE(RetryAfter(clients[3].ends[0]).has_value());
  rig.Settle(0);
  for (int i = 0; i < 3; ++i) ExpectServed(clients[i], 2);
}

TEST(AttentionNodeRefusal, WithNoQueueTakesWhatCanRun) {
  NodeRig rig({.max_sequences = 2, .max_waiting = 0});
  rig.Serve();
  std::vector<TestClient> clients(3);
  for (int i = 0; i < 3; ++i) rig.Submit(i, rig.Request(kPrompt, 2), clients[i]);
  ExpectEnd(clients[2], absl::StatusCode::kResourceExhausted, "2 requests run or wait; at most 2");
  rig.Settle(0);
  for (int i = 0; i < 2; ++i) ExpectServed(clients[i], 2);
}

// ---- waits that end

TEST(AttentionNodeWait, ForExpertsThatNobodyHoldsEndsByName) {
  NodeRig rig;
  rig.Serve();
  rig.Close("e1", 100);
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 2), client, 100);
  rig.Settle(100);
  EXPECT_LE(rig.node.NextWakeup(), TestTime(2100));
  rig.Settle(2099);
  EXPECT_FALSE(client.ended());
  rig.Settle(2100);
  ExpectEnd(client, absl::StatusCode::kAborted, "uncovered: layers 1-2: experts 2-3");
  EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
  EXPECT_THAT(client.ids, IsEmpty());
}

TEST(AttentionNodeWait, IsAsLongForWhoComesLater) {
  NodeRig rig;
  rig.Serve();
  rig.Close("e1", 100);
  rig.Settle(100);
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 2), client, 1500);
  rig.Settle(3499);
  EXPECT_FALSE(client.ended());
  rig.Settle(3500);
  EXPECT_TRUE(client.ended());
}

TEST(AttentionNodeWait, AsksToBeWokenWhenItEnds) {
  NodeRig rig;
  rig.Serve();
  rig.Say(10, TopologyOf(StubModel::kGrid, {rig.Expert("e0", 0, 1)}, 2));
  rig.node.OnLinkDown(absl::UnavailableError("cut"), TestTime(10));
  rig.Settle(60);  // it dials; nobody answers, nothing else is due
  EXPECT_GT(rig.node.NextWakeup(), TestTime(60000));
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 2), client, 100);
  rig.Settle(100);
  EXPECT_EQ(rig.node.NextWakeup(), TestTime(2100));
}

TEST(AttentionNodeWait, ForExpertsEndsWellWhenTheyComeBack) {
  NodeRig rig;
  rig.Serve();
  rig.Close("e1", 100);
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 2), client, 100);
  rig.Settle(1500);
  rig.Open("e1", 1600);  // dialled again at 1500
  rig.Settle(1600);
  ExpectServed(client, 2);
}

TEST(AttentionNodeWait, ForALeaseEndsByName) {
  NodeRig rig;
  rig.lease = Milliseconds(500);
  rig.Serve();
  rig.node.OnLinkDown(absl::UnavailableError("cut"), TestTime(1));
  rig.Settle(600);
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 2), client, 600);
  rig.Settle(600);
  EXPECT_FALSE(client.ended());
  rig.Settle(2600);
  ExpectEnd(client, absl::StatusCode::kUnavailable, "no lease from control");
  EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
}

TEST(AttentionNodeWait, WithoutALeaseWhatRunsGoesOnAndNothingNewStarts) {
  NodeRig rig;
  rig.lease = Milliseconds(500);
  rig.Serve();
  TestClient running, late;
  rig.Submit(1, rig.Request(kPrompt, 5), running);
  ASSERT_TRUE(rig.RunUntil(running, 2));
  rig.Round(600);
  rig.Submit(2, rig.Request(kPrompt, 5), late, 600);
  rig.Settle(600);
  ExpectServed(running, 5);
  EXPECT_THAT(late.ids, IsEmpty());
  rig.Say(700);
  rig.Settle(700);
  ExpectServed(late, 5);
}

// Waiting for a place is not waiting for experts.
TEST(AttentionNodeWait, CountsOnlyTheTimeWithoutExperts) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  TestClient running, waiting;
  rig.Submit(1, rig.Request(kPrompt, 20), running);
  ASSERT_TRUE(rig.RunUntil(running, 1));
  rig.Submit(2, rig.Request(kPrompt, 2), waiting);
  ASSERT_TRUE(rig.RunUntil(running, 10, 60000));
  rig.Close("e1", 60001);
  rig.Settle(60001);
  EXPECT_FALSE(waiting.ended()) << "it has waited a minute, but not for e1";
  rig.Settle(61000);
  rig.Open("e1", 61001);
  rig.Settle(61001);
  ExpectServed(running, 20);
  ExpectServed(waiting, 2);
}

// ---- deadlines

TEST(AttentionNodeDeadline, EndsARequestThatWaits) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  TestClient running, waiting;
  rig.Submit(1, rig.Request(kPrompt, 9), running);
  rig.answering = false;
  rig.Round(0);
  GenerateRequest request = rig.Request(kPrompt, 2);
  request.deadline = TestTime(200);
  rig.Submit(2, std::move(request), waiting, 10);
  rig.Settle(10);
  EXPECT_LE(rig.node.NextWakeup(), TestTime(200));
  rig.Settle(199);
  EXPECT_FALSE(waiting.ended());
  rig.Settle(200);
  ExpectEnd(waiting, absl::StatusCode::kDeadlineExceeded, "deadline passed");
  rig.answering = true;
  rig.Settle(201);
  ExpectServed(running, 9);
}

TEST(AttentionNodeDeadline, EndsARequestThatRunsAfterTheTokensSoFar) {
  NodeRig rig;
  rig.Serve();
  TestClient client, other;
  GenerateRequest request = rig.Request(kPrompt, 20);
  request.deadline = TestTime(120);
  rig.Submit(1, std::move(request), client);
  rig.Submit(2, rig.Request(kPrompt, 20), other);
  ASSERT_TRUE(rig.RunUntil(client, 3));
  EXPECT_EQ(rig.node.NextWakeup(), TestTime(120));
  const size_t streamed = client.ids.size();
  rig.Settle(120);
  ExpectEnd(client, absl::StatusCode::kDeadlineExceeded, "deadline passed");
  EXPECT_EQ(client.ids.size(), streamed);
  const Reference reference(kPrompt, 20);
  EXPECT_TRUE(std::equal(client.ids.begin(), client.ids.end(), reference.ids.begin()));
  ExpectServed(other, 20);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

// ---- cancel

TEST(AttentionNodeCancel, EndsARequestThatWaitsAtOnce) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  TestClient running, waiting;
  rig.Submit(1, rig.Request(kPrompt, 3), running);
  rig.Round(0);
  rig.Submit(2, rig.Request(kPrompt, 3), waiting);
  rig.node.Cancel(2);
  ExpectEnd(waiting, absl::StatusCode::kCancelled, "by the client");
  rig.node.Cancel(2);
  rig.node.Cancel(77);  // nobody's
  rig.Settle(0);
  EXPECT_EQ(waiting.ends.size(), 1u);
  EXPECT_THAT(waiting.ids, IsEmpty());
  ExpectServed(running, 3);
}

TEST(AttentionNodeCancel, EndsARequestThatRunsAtOnceAndGivesItsBlocksBackWithTheStep) {
  NodeRig rig;
  rig.Serve();
  TestClient client, other;
  rig.Submit(1, rig.Request(kPrompt, 30), client);
  rig.Submit(2, rig.Request(kPrompt, 9), other);
  ASSERT_TRUE(rig.RunUntil(client, 3));
  const size_t streamed = client.ids.size();
  rig.node.Cancel(1);
  ExpectEnd(client, absl::StatusCode::kCancelled, "by the client");
  EXPECT_EQ(rig.node.sequences(), 2u) << "the step that runs still names it";
  rig.node.Cancel(1);
  rig.Settle(0);
  ExpectEnd(client, absl::StatusCode::kCancelled, "by the client");
  EXPECT_EQ(client.ids.size(), streamed) << "no token after the cancel";
  ExpectServed(other, 9);
  EXPECT_EQ(rig.node.used_blocks(), 0);
  EXPECT_EQ(rig.node.sequences(), 0u);
}

TEST(AttentionNodeCancel, IsTheReasonWhateverElseHappensBeforeTheStepEnds) {
  NodeRig rig;
  rig.Serve();
  TestClient client;
  GenerateRequest request = rig.Request(kPrompt, 30);
  request.deadline = TestTime(50);
  rig.Submit(1, std::move(request), client);
  rig.answering = false;
  rig.Settle(0);
  rig.node.Cancel(1);
  rig.Close("e0", 60);
  rig.Close("e1", 60);
  rig.Settle(60);
  ExpectEnd(client, absl::StatusCode::kCancelled, "by the client");
}

TEST(AttentionNodeCancel, AsksNoExpertForRowsOfACancelledRequestAnyMore) {
  NodeRig rig;
  rig.Serve();
  TestClient client, other;
  rig.Submit(1, rig.Request(kPrompt, 30), client);
  rig.Submit(2, rig.Request({9}, 2), other);
  rig.answering = false;
  rig.Settle(0);  // the rows of layer 1 are away
  size_t before = 0;
  for (const auto& channel : rig.transport.channels) before += channel->dispatches.size();
  ASSERT_GT(before, 0u);
  rig.node.Cancel(1);
  ExpectEnd(client, absl::StatusCode::kCancelled, "by the client");
  rig.answering = true;
  rig.Round(0);  // answered
  rig.Round(0);  // layer 2 is sent
  for (const auto& channel : rig.transport.channels) {
    for (size_t i = 1; i < channel->dispatches.size(); ++i) {
      EXPECT_EQ(channel->dispatches[i].header.rows, 1u) << "the other request's only row";
    }
  }
  rig.Settle(0);
  ExpectEnd(client, absl::StatusCode::kCancelled, "by the client");
  EXPECT_EQ(other.ids, Reference({9}, 2).ids);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

// ---- the end of a life

TEST(AttentionNodeEnd, EndsEveryRequestOnceAndRefusesNewOnes) {
  NodeRig rig({.max_sequences = 1});
  rig.Serve();
  TestClient running, waiting, late;
  rig.Submit(1, rig.Request(kPrompt, 9), running);
  rig.Submit(2, rig.Request(kPrompt, 9), waiting);
  rig.answering = false;
  rig.Settle(0);
  rig.node.EndAll(absl::UnavailableError("the worker is stopping"));
  ExpectEnd(running, absl::StatusCode::kUnavailable, "stopping");
  ExpectEnd(waiting, absl::StatusCode::kUnavailable, "stopping");
  EXPECT_EQ(rig.node.used_blocks(), 0);
  rig.Submit(3, rig.Request(kPrompt, 9), late);
  ExpectEnd(late, absl::StatusCode::kUnavailable, "stopping");
  rig.node.Cancel(1);
  rig.answering = true;
  const size_t reports = rig.control.reports.size();
  rig.Settle(10000);
  EXPECT_EQ(running.ends.size() + waiting.ends.size(), 2u);
  EXPECT_EQ(rig.node.NextWakeup(), kNever);
  EXPECT_EQ(rig.control.reports.size(), reports) << "control is told nothing more";
}

TEST(AttentionNodeEnd, KeepsTheReasonOfARequestThatHadEndedAlready) {
  NodeRig rig;
  rig.Serve();
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 9), client);
  rig.answering = false;
  rig.Settle(0);
  rig.node.Cancel(1);
  rig.node.EndAll(absl::UnavailableError("the worker is stopping"));
  ExpectEnd(client, absl::StatusCode::kCancelled, "by the client");
}

// Fenced first, stopped then: the rows of the step that ran are still named by what is on its way.
TEST(AttentionNodeEnd, MayComeTwiceWhileRowsAreAway) {
  NodeRig rig;
  rig.Serve();
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 9), client);
  rig.answering = false;
  rig.Settle(0);
  rig.node.EndAll(absl::UnavailableError("first"));
  rig.node.EndAll(absl::UnavailableError("second"));
  rig.Close("e0", 1);
  rig.Close("e1", 1);
  ExpectEnd(client, absl::StatusCode::kUnavailable, "first");
}

TEST(AttentionNodeEnd, OfAFencedLifeEndsItsRequestsAndTheProcess) {
  NodeRig rig;
  rig.Serve();
  TestClient client;
  rig.Submit(1, rig.Request(kPrompt, 9), client);
  ASSERT_TRUE(rig.RunUntil(client, 2));
  rig.Say(10, nullptr, "a newer life of a0 has joined");
  ExpectEnd(client, absl::StatusCode::kUnavailable, "fenced: a newer life of a0 has joined");
  EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
  ASSERT_EQ(rig.host.exits.size(), 1u);
  EXPECT_EQ(rig.host.exits[0].code(), absl::StatusCode::kAborted);
  rig.Settle(5000);
  EXPECT_EQ(rig.host.exits.size(), 1u);
  EXPECT_EQ(rig.node.used_blocks(), 0);
}

}  // namespace
}  // namespace expertmesh
