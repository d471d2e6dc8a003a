#include "attention_worker/core/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

// Steps of a batch without a model: every token is its position, and a step takes 10 ms.
class BatchRig {
 public:
  BatchRig(BatchOptions options, int32_t blocks) : batch(options, blocks, kBlockRows) {}

  static constexpr int32_t kBlockRows = 4;

  Sequence* Add(const std::string& caller, int32_t prompt, int32_t outputs, int32_t first_token = 0,
                int32_t priority = 0) {
    GenerateRequest request;
    request.caller = caller;
    request.priority = priority;
    request.max_tokens = outputs;
    for (int32_t i = 0; i < prompt; ++i) request.prompt.push_back(first_token + i);
    auto sequence = std::make_unique<Sequence>(Sequence{.id = ++last_id_,
                                                        .rule = StopRule(request, {}),
                                                        .sampling = SamplingState(request, {}),
                                                        .arrived = now,
                                                        .tokens = request.prompt});
    sequence->request = std::move(request);
    Sequence* self = sequence.get();
    batch.Add(std::move(sequence));
    return self;
  }

  // Who came to run in it, by caller.
  void Step() {
    batch.Sweep();
    const size_t before = batch.running().size();
    batch.Admit(now);
    admitted += batch.running().size() - before;
    ASSERT_EQ(batch.Check(), absl::OkStatus());
    ASSERT_TRUE(!batch.running().empty() || batch.waiting().empty()) << "it stands still";
    if (batch.running().empty()) return;
    batch.Plan(now, ranges, copies);
    ASSERT_FALSE(ranges.empty());
    ASSERT_EQ(batch.Check(), absl::OkStatus());
    now += Milliseconds(10);
    for (const RowRange& range : ranges) {
      Sequence& sequence = *batch.running()[range.index];
      ASSERT_EQ(range.first, sequence.cache.cached) << "the range is of this sequence";
      ASSERT_GE(sequence.cache.blocks.size() * kBlockRows,
                static_cast<size_t>(range.first + range.count));
      rows_of[sequence.request.caller] += range.count;
      batch.Computed(sequence, range.count, now);
      if (sequence.ended || sequence.cache.cached < sequence.known()) continue;
      sequence.tokens.push_back(1000 + sequence.known());
      batch.PromptDone(sequence);
      if (sequence.known() == sequence.most()) sequence.ended = true;
    }
    batch.StepDone();
  }
  void Drain() {
    for (int i = 0; i < 100'000 && !(batch.waiting().empty() && batch.running().empty()); ++i) {
      Step();
      if (testing::Test::HasFatalFailure()) return;
    }
    ASSERT_TRUE(batch.waiting().empty() && batch.running().empty());
    EXPECT_EQ(batch.used_blocks(), 0);
  }

  Time now = Time{} + std::chrono::hours(1);
  Batch batch;
  std::vector<RowRange> ranges;
  std::vector<BlockCopy> copies;
  std::map<std::string, int64_t> rows_of;
  size_t admitted = 0;

 private:
  RequestId last_id_ = 0;
};

bool Runs(const Batch& batch, const Sequence* sequence) {
  for (const SequencePtr& one : batch.running()) {
    if (one.get() == sequence) return true;
  }
  return false;
}

// However long the requests of the one have waited.
TEST(Batch, WhoComesGetsAPlaceBeforeTheQueueOfAnother) {
  BatchRig rig({.max_sequences = 2}, 1000);
  for (int i = 0; i < 50; ++i) rig.Add("flood", 8, 40, 100 * i);
  for (int i = 0; i < 500; ++i) rig.Step();
  ASSERT_GT(rig.batch.waiting().size(), 20u);
  Sequence* mine = rig.Add("mine", 8, 40, 9000);
  const size_t before = rig.admitted;
  while (!Runs(rig.batch, mine)) rig.Step();
  EXPECT_LE(rig.admitted, before + 2) << "of those that got equally much the older is first";
  rig.Drain();
}

// Of whatever size their requests are.
TEST(Batch, CallersGetEqualRows) {
  BatchRig rig({.max_sequences = 4}, 1000);
  for (int i = 0; i < 400; ++i) rig.Add("small", 3, 10, 20 * i);
  for (int i = 0; i < 100; ++i) rig.Add("large", 30, 60, 20'000 + 40 * i);
  for (int i = 0; i < 1000; ++i) rig.Step();
  ASSERT_GT(rig.batch.waiting().size(), 50u);
  const double ratio = static_cast<double>(rig.rows_of["small"]) / rig.rows_of["large"];
  EXPECT_GT(ratio, 0.8);
  EXPECT_LT(ratio, 1.25);
  rig.Drain();
}

TEST(Batch, PlacesThatAreFreeAtOnceAreShared) {
  BatchRig rig({.max_sequences = 8}, 1000);
  for (int i = 0; i < 20; ++i) rig.Add("a", 8, 4, 100 * i);
  for (int i = 0; i < 20; ++i) rig.Add("b", 8, 4, 5000 + 100 * i);
  rig.Step();
  const auto of_a = std::count_if(rig.batch.running().begin(), rig.batch.running().end(),
                                  [](const auto& one) { return one->request.caller == "a"; });
  EXPECT_EQ(of_a, 4);
  rig.Drain();
}

TEST(Batch, AWaitIsForetoldAlsoWhereOnlyTheCacheIsShort) {
  BatchRig rig({.max_sequences = 64}, 8);
  for (int i = 0; i < 40; ++i) rig.Add("a", 8, 4, 100 * i);
  for (int i = 0; i < 20; ++i) rig.Step();
  ASSERT_LT(rig.batch.running().size(), 10u);
  GenerateRequest request;
  request.caller = "a";
  const std::optional<Duration> wait = rig.batch.ExpectedWait(request, rig.now);
  ASSERT_TRUE(wait.has_value());
  EXPECT_GT(*wait, Milliseconds(20));
  EXPECT_LT(*wait, Milliseconds(2000));
  rig.Drain();
  EXPECT_EQ(rig.batch.ExpectedWait(request, rig.now), Duration::zero());
}

// It is tried again when it needs fewer blocks, not only when more are free.
TEST(Batch, WhoDidNotFitComesToRunWhenAnotherHasComputedItsBeginning) {
  BatchRig rig({}, 11);
  rig.Add("a", 24, 20);  // 6 blocks
  Sequence* next = rig.Add("a", 24, 2);
  for (int i = 8; i < 24; ++i) next->tokens[i] = next->request.prompt[i] = 500 + i;
  rig.Step();
  EXPECT_FALSE(Runs(rig.batch, next));
  rig.Step();
  EXPECT_TRUE(Runs(rig.batch, next)) << "with 2 blocks of the first one, 4 and one to grow";
  rig.Drain();
}

TEST(Batch, HigherPrioritiesHaveTheirPromptsComputedFirst) {
  BatchRig rig({.scheduler = {.max_step_rows = 8, .prefill_chunk = 8}}, 1000);
  Sequence* low = rig.Add("a", 40, 2, 0, -1);
  rig.Step();
  Sequence* high = rig.Add("a", 40, 2, 500, 1);
  for (int i = 0; i < 5; ++i) rig.Step();
  EXPECT_EQ(low->cache.cached, 8);
  EXPECT_TRUE(high->kept);
  rig.Drain();
}

// One whose copy of a shared tail is still to be made goes away.
TEST(Batch, WhoEndsBeforeItsCopyIsMadeLeavesNothing) {
  BatchRig rig({}, 100);
  rig.Add("a", 10, 1);
  rig.Drain();
  Sequence* next = rig.Add("a", 10, 4);
  rig.batch.Admit(rig.now);
  ASSERT_TRUE(next->cache.copy.has_value());
  EXPECT_EQ(rig.batch.Check(), absl::OkStatus());
  next->ended = true;
  rig.batch.Sweep();
  EXPECT_EQ(rig.batch.used_blocks(), 0);
  EXPECT_EQ(rig.batch.Check(), absl::OkStatus());
  Sequence* last = rig.Add("a", 10, 4);
  rig.Step();
  EXPECT_THAT(rig.copies, testing::SizeIs(1));
  EXPECT_EQ(last->cache.cached, 10);
  rig.Drain();
}

// Whatever comes and goes: nobody waits for what will not come, the accounts are right after each
// part of a step, and everybody ends.
TEST(Batch, GoesOnWhateverComesAndGoes) {
  int64_t preemptions = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<int32_t>(random() % n); };
    BatchRig rig({.scheduler = {.max_step_rows = 1 + below(20),
                                .prefill_chunk = 1 + below(20),
                                .positions_per_row = below(20)},
                  .max_sequences = 1 + below(8)},
                 10 + below(20));
    for (int step = 0; step < 200; ++step) {
      if (below(3) == 0) {
        rig.Add(absl::StrCat("caller ", below(3)), 1 + below(20), 1 + below(20), 7 * below(4),
                below(5) - 2);
      }
      if (below(10) == 0) {
        const auto& list = below(2) == 0 ? rig.batch.running() : rig.batch.waiting();
        if (!list.empty()) list[random() % list.size()]->ended = true;
      }
      rig.Step();
      ASSERT_FALSE(HasFatalFailure());
    }
    rig.Drain();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_LE(rig.batch.most_preemptions(), 8);
    preemptions += rig.batch.preemptions();
  }
  EXPECT_GT(preemptions, 1000);
}

}  // namespace
}  // namespace expertmesh
