#include "attention_worker/core/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

std::vector<std::tuple<int, int, int>> Plan(const std::vector<Progress>& running,
                                            SchedulerLimits limits) {
  std::vector<RowRange> ranges{{7, 7, 7}};  // what was there before goes
  PlanStep(running, limits, ranges);
  std::vector<std::tuple<int, int, int>> plan;
  for (const RowRange& r : ranges) plan.emplace_back(r.index, r.first, r.count);
  return plan;
}

using testing::ElementsAre;
using testing::IsEmpty;
using Range = std::tuple<int, int, int>;  // sequence, first position, count

TEST(PlanStep, OfNothingIsNothing) {
  EXPECT_THAT(Plan({}, {.max_step_rows = 8, .prefill_chunk = 4}), IsEmpty());
}

TEST(PlanStep, PutsDecodeRowsFirstWhoeverCameFirst) {
  EXPECT_THAT(Plan({{0, 9}, {5, 6}, {0, 2}, {30, 31}}, {.max_step_rows = 16, .prefill_chunk = 4}),
              ElementsAre(Range{1, 5, 1}, Range{3, 30, 1}, Range{0, 0, 4}, Range{2, 0, 2}));
}

TEST(PlanStep, GoesOnWithAPromptWhereItsLastChunkEnded) {
  EXPECT_THAT(Plan({{4, 9}}, {.max_step_rows = 16, .prefill_chunk = 3}),
              ElementsAre(Range{0, 4, 3}));
  EXPECT_THAT(Plan({{7, 9}}, {.max_step_rows = 16, .prefill_chunk = 3}),
              ElementsAre(Range{0, 7, 2}));
}

TEST(PlanStep, GivesTheOldestPromptsWhatRoomIsLeft) {
  EXPECT_THAT(Plan({{0, 9}, {0, 9}, {0, 9}, {1, 2}}, {.max_step_rows = 8, .prefill_chunk = 5}),
              ElementsAre(Range{3, 1, 1}, Range{0, 0, 5}, Range{1, 0, 2}));
}

TEST(PlanStep, CutsDecodeRowsTooWhenThereAreMoreThanFit) {
  EXPECT_THAT(Plan({{1, 2}, {1, 2}, {1, 2}}, {.max_step_rows = 2, .prefill_chunk = 5}),
              ElementsAre(Range{0, 1, 1}, Range{1, 1, 1}));
}

// What holds of every plan.
void ExpectLegal(const std::vector<Progress>& running, SchedulerLimits limits) {
  std::vector<RowRange> ranges;
  PlanStep(running, limits, ranges);
  std::vector<int> times(running.size(), 0);
  int rows = 0, most_prefill = 0;
  bool prefill = false;
  for (const RowRange& range : ranges) {
    const Progress& sequence = running[range.index];
    ASSERT_EQ(++times[range.index], 1) << "a sequence is in a step once";
    ASSERT_EQ(range.first, sequence.cached) << "without a gap";
    ASSERT_GE(range.count, 1);
    ASSERT_LE(range.first + range.count, sequence.known);
    const bool decode = sequence.known - sequence.cached == 1;
    ASSERT_FALSE(decode && prefill) << "decode rows come first";
    prefill |= !decode;
    if (!decode) {
      ASSERT_LE(range.count, limits.prefill_chunk);
      ASSERT_GE(range.index, most_prefill) << "prompts in order of admission";
      most_prefill = range.index;
    }
    rows += range.count;
  }
  ASSERT_LE(rows, limits.max_step_rows);
  int wanted = 0;
  for (const Progress& s : running) wanted += std::min(s.known - s.cached, limits.prefill_chunk);
  ASSERT_EQ(rows, std::min(wanted, limits.max_step_rows)) << "no row is left empty for nothing";
}

TEST(PlanStep, KeepsItsPromisesWhateverRuns) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    std::vector<Progress> running(random() % 12);
    for (Progress& sequence : running) {
      sequence.cached = static_cast<int32_t>(random() % 50);
      sequence.known =
          sequence.cached + 1 + static_cast<int32_t>(random() % 3 == 0 ? random() % 40 : 0);
    }
    const SchedulerLimits limits{.max_step_rows = 1 + static_cast<int32_t>(random() % 40),
                                 .prefill_chunk = 1 + static_cast<int32_t>(random() % 20)};
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ExpectLegal(running, limits);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace expertmesh
