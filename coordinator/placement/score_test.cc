#include "coordinator/placement/score.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_traces.h"
#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

double Square(double x) { return x > 0 ? x * x : 0; }

// The formula of score.h, term by term.
double ScoreOfAll(const Board& board, const ScoreOptions& options) {
  double score = 0;
  for (int32_t s = 0; s < board.seats(); ++s) {
    for (int32_t layer = 0; layer < board.layers(); ++layer) {
      for (int32_t group = 0; group < board.groups(); ++group) {
        score += board.OfGroup(layer, group, s) > 0 ? options.group_cost : 0;
      }
      if (!board.seat(s).serves || board.LayerMean(layer) <= 0) continue;
      score += Square(board.LayerLoad(layer, s) / board.LayerMean(layer) - options.goal);
    }
    if (!board.seat(s).serves) continue;
    const double total = board.seat(s).total / board.TotalMean();
    score += board.layers() * (Square(total - options.goal) + Square(options.idle - total));
  }
  return score;
}

TEST(Score, OfAStepIsTheDifferenceThatTheStepMakes) {
  PlacementInput fleet = TraceFleet("groups", {0, 3, 16}, 4, 6);
  fleet = AfterPlan(fleet, PlanPlacement(fleet, {}));
  Board board(fleet, 0);
  const ScoreOptions options{1.01, 0.9, 0.001};
  Score score(board, options);
  TraceRandom random(3);
  int32_t steps = 0;
  for (int i = 0; i < 3000; ++i) {
    const int32_t from = static_cast<int32_t>(random.Below(4));
    const int32_t to = static_cast<int32_t>(random.Below(4));
    const Cell cell = static_cast<Cell>(random.Below(48));
    const Cell other = cell / 16 * 16 + static_cast<Cell>(random.Below(16));
    if (from == to || cell == other || !board.now().Has(from, cell) || board.now().Has(to, cell) ||
        !board.now().Has(to, other) || board.now().Has(from, other)) {
      continue;
    }
    const bool spare = board.Replicas(other) > 1;
    const Step step =
        spare
            ? MakeStep(board, {{cell, to, true}, {other, to, false}})
            : MakeStep(
                  board,
                  {{cell, to, true}, {cell, from, false}, {other, from, true}, {other, to, false}});
    const double before = ScoreOfAll(board, options);
    const Effect effect = score.Of(step, from);
    Apply(step, board);
    EXPECT_NEAR(effect.score, ScoreOfAll(board, options) - before, 1e-9);
    EXPECT_GE(effect.most, board.LayerLoad(board.LayerOf(cell), from) - 1e-9);
    ++steps;
  }
  EXPECT_GT(steps, 100);
}

}  // namespace
}  // namespace expertmesh
