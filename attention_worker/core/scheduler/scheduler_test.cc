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
  std::vector<int32_t> scratch{7};
  PlanStep(running, limits, ranges, scratch);
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

TEST(PlanStep, GivesRoomToTheHigherLevelFirst) {
  EXPECT_THAT(
      Plan({{0, 9, 0}, {0, 9, 2}, {0, 9, 2}, {1, 2, -5}}, {.max_step_rows = 8, .prefill_chunk = 5}),
      ElementsAre(Range{3, 1, 1}, Range{1, 0, 5}, Range{2, 0, 2}));
}

TEST(PlanStep, CountsTheDepthOfAPromptWhileOthersDecode) {
  const SchedulerLimits limits{.max_step_rows = 16, .prefill_chunk = 16, .positions_per_row = 10};
  EXPECT_THAT(Plan({{30, 90}}, limits), ElementsAre(Range{0, 30, 16})) << "nobody waits for it";
  // 16 rows, of which the decode row takes 1; a prompt's take 4.0, 4.1, 4.2: 12.3.
  EXPECT_THAT(Plan({{0, 1}, {30, 90}}, limits), ElementsAre(Range{0, 0, 1}, Range{1, 30, 3}));
  // The decode row at position 20 takes 3.
  EXPECT_THAT(Plan({{20, 21}, {30, 90}}, limits), ElementsAre(Range{0, 20, 1}, Range{1, 30, 3}));
  EXPECT_THAT(Plan({{50, 51}, {30, 90}}, limits), ElementsAre(Range{0, 50, 1}, Range{1, 30, 2}));
  // What is left goes to the next one.
  EXPECT_THAT(Plan({{0, 1}, {30, 32}, {0, 9}}, limits),
              ElementsAre(Range{0, 0, 1}, Range{1, 30, 2}, Range{2, 0, 5}));
}

TEST(PlanStep, GoesOnWithPromptsHoweverDeepWhatDecodes) {
  const SchedulerLimits limits{.max_step_rows = 16, .prefill_chunk = 16, .positions_per_row = 10};
  EXPECT_THAT(Plan({{9000, 9001}, {0, 9}}, limits), ElementsAre(Range{0, 9000, 1}, Range{1, 0, 1}));
  EXPECT_THAT(Plan({{9000, 9001}, {9000, 9002}}, limits),
              ElementsAre(Range{0, 9000, 1}, Range{1, 9000, 1}));
}

// What holds of every plan.
void ExpectLegal(const std::vector<Progress>& running, SchedulerLimits limits) {
  std::vector<RowRange> ranges;
  std::vector<int32_t> scratch;
  PlanStep(running, limits, ranges, scratch);
  std::vector<int> times(running.size(), 0);
  int rows = 0, last_prompt = -1;
  int64_t decode_time = 0, prompt_time = 0, prompt_rows = 0;
  for (const RowRange& range : ranges) {
    const Progress& sequence = running[range.index];
    ASSERT_EQ(++times[range.index], 1) << "a sequence is in a step once";
    ASSERT_EQ(range.first, sequence.cached) << "without a gap";
    ASSERT_GE(range.count, 1);
    ASSERT_LE(range.first + range.count, sequence.known);
    const bool decode = sequence.known - sequence.cached == 1;
    ASSERT_FALSE(decode && last_prompt >= 0) << "decode rows come first";
    if (!decode) {
      ASSERT_LE(range.count, limits.prefill_chunk);
      if (last_prompt >= 0) {
        const Progress& last = running[last_prompt];
        ASSERT_TRUE(last.level > sequence.level ||
                    (last.level == sequence.level && last_prompt < range.index));
      }
      last_prompt = range.index;
    }
    for (int i = 0; i < range.count; ++i) {
      (decode ? decode_time : prompt_time) += limits.positions_per_row + range.first + i;
    }
    if (!decode) prompt_rows += range.count;
    rows += range.count;
  }
  ASSERT_LE(rows, limits.max_step_rows);
  int wanted = 0;
  for (const Progress& s : running) wanted += std::min(s.known - s.cached, limits.prefill_chunk);
  if (limits.positions_per_row == 0 || decode_time == 0) {
    ASSERT_EQ(rows, std::min(wanted, limits.max_step_rows)) << "no row is left empty for nothing";
    return;
  }
  const int64_t time = limits.max_step_rows * limits.positions_per_row;
  if (prompt_rows == 1) return;  // one of them there is in any case
  ASSERT_LE(prompt_time, std::max(time - decode_time, time / 8));
}

TEST(PlanStep, KeepsItsPromisesWhateverRuns) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    std::vector<Progress> running(random() % 12);
    for (Progress& sequence : running) {
      sequence.cached = static_cast<int32_t>(random() % 50);
      sequence.known =
          sequence.cached + 1 + static_cast<int32_t>(random() % 3 == 0 ? random() % 40 : 0);
      sequence.level = static_cast<int64_t>(random() % 3);
    }
    const SchedulerLimits limits{
        .max_step_rows = 1 + static_cast<int32_t>(random() % 40),
        .prefill_chunk = 1 + static_cast<int32_t>(random() % 20),
        .positions_per_row = static_cast<int64_t>(random() % 2 * (1 + random() % 50))};
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ExpectLegal(running, limits);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace expertmesh
