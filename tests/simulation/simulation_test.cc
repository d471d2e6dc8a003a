#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "common/log.h"
#include "simulation/plan.h"
#include "simulation/run.h"
#include "simulation/stub/reference.h"

namespace expertmesh::simulation {
namespace {

uint64_t SeedsToRun() {
  const char* text = std::getenv("EXPERTMESH_SIMULATION_SEEDS");
  return text == nullptr ? 200 : std::strtoull(text, nullptr, 10);
}

class Simulation : public testing::Test {
 protected:
  static void SetUpTestSuite() { StartLogging("simulation", "off"); }
};

TEST_F(Simulation, KeepsEveryInvariantOnManySeeds) {
  const uint64_t count = SeedsToRun();
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t seed = 1; seed <= count; ++seed) {
    const RunResult result = RunSeed(seed);
    if (!result.violation.has_value()) continue;
    const RunResult told = RunSeed(seed, EventLog::Mode::kTail);
    FAIL() << FailureText(seed, told.violation.has_value() ? told : result);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%llu seeds in %.1f s: %.0f a second\n", static_cast<unsigned long long>(count),
              took.count(), static_cast<double>(count) / took.count());
}

// Else no failing seed could be replayed.
TEST_F(Simulation, IsTheSameEachTimeWithAndWithoutItsLog) {
  for (uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
    const RunResult once = RunSeed(seed);
    const RunResult again = RunSeed(seed, EventLog::Mode::kTail);
    EXPECT_EQ(once.digest, again.digest) << "seed " << seed;
    EXPECT_EQ(once.events, again.events) << "seed " << seed;
    EXPECT_EQ(once.succeeded, again.succeeded) << "seed " << seed;
    EXPECT_FALSE(again.log_tail.empty());
  }
}

// A run in which nothing is served, or nothing goes wrong, would keep every invariant, too.
TEST_F(Simulation, ServesMuchAndFailsSome) {
  size_t requests = 0, succeeded = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const RunResult result = RunSeed(seed);
    requests += result.requests;
    succeeded += result.succeeded;
  }
  EXPECT_GT(succeeded, requests / 4);
  EXPECT_LT(succeeded, requests);
}

TEST_F(Simulation, DrawsEveryKindOfFaultAndRunsWithoutAny) {
  std::vector<int> drawn(static_cast<size_t>(FaultKind::kCount), 0);
  int faultless = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Plan plan = DrawPlan(seed);
    if (plan.faults.empty()) ++faultless;
    for (const FaultPlan& fault : plan.faults) ++drawn[static_cast<size_t>(fault.kind)];
  }
  EXPECT_GT(faultless, 10);
  for (size_t kind = 0; kind < drawn.size(); ++kind) {
    EXPECT_GT(drawn[kind], 10) << Describe({.kind = static_cast<FaultKind>(kind)});
  }
}

// The yardstick itself: an answer hangs on every token before it.
TEST(Reference, AnswersDependOnEveryTokenOfThePrompt) {
  Random chance(7);
  const StubModel model = StubModel::Draw(chance);
  GenerateRequest request;
  request.prompt = {1, 2, 3, 4, 5};
  request.max_tokens = 8;
  request.ignore_eos = true;
  const Answer answer = ReferenceAnswer(model, request);
  ASSERT_EQ(answer.tokens.size(), 8u);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    GenerateRequest other = request;
    other.prompt[i] = 0;
    EXPECT_NE(ReferenceAnswer(model, other).tokens, answer.tokens) << "prompt token " << i;
  }
}

TEST(Reference, AnswersDependOnSeedAndChoiceWhereIdsAreDrawn) {
  Random chance(7);
  const StubModel model = StubModel::Draw(chance);
  GenerateRequest request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 8;
  request.ignore_eos = true;
  const std::vector<OutputToken> greedy = ReferenceAnswer(model, request).tokens;
  request.sampling.seed = 5;
  EXPECT_EQ(ReferenceAnswer(model, request).tokens, greedy);
  request.sampling.temperature = 1;
  const std::vector<OutputToken> drawn = ReferenceAnswer(model, request).tokens;
  EXPECT_NE(drawn, greedy);
  request.choice = 1;
  EXPECT_NE(ReferenceAnswer(model, request).tokens, drawn);
  request.choice = 0;
  request.sampling.seed = 6;
  EXPECT_NE(ReferenceAnswer(model, request).tokens, drawn);
}

}  // namespace
}  // namespace expertmesh::simulation
