#include "coordinator/placement/board.h"

#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/placement/test_traces.h"
#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

TEST(Board, KeepsItsSumsThroughAnyChanges) {
  PlacementInput fleet = TraceFleet("zipf-1.0", {2, 3, 8}, 4, 5);
  Board board(fleet, 0.1);
  TraceRandom random(5);
  for (int i = 0; i < 2000; ++i) {
    const int32_t seat = static_cast<int32_t>(random.Below(4));
    const Cell cell = static_cast<Cell>(random.Below(board.cells()));
    board.now().Has(seat, cell) ? board.Remove(seat, cell) : board.Add(seat, cell);
  }
  const Board fresh(fleet, 0.1, board.now());
  for (int32_t s = 0; s < board.seats(); ++s) {
    EXPECT_EQ(board.seat(s).held, fresh.seat(s).held);
    EXPECT_NEAR(board.seat(s).total, fresh.seat(s).total, 1e-6);
    for (int32_t layer = 0; layer < 3; ++layer) {
      EXPECT_NEAR(board.LayerLoad(layer, s), fresh.LayerLoad(layer, s), 1e-6);
      EXPECT_EQ(board.Items(layer, s).size(), fresh.Items(layer, s).size());
    }
  }
  for (int32_t layer = 0; layer < 3; ++layer) {
    EXPECT_NEAR(board.LayerMean(layer), fresh.LayerMean(layer), 1e-6);
  }
}

TEST(Board, MemoryIsThatOfBeforeAndAfterTogether) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 1, 2);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  Board board(fleet, 0);
  board.Remove(0, 0);
  EXPECT_FALSE(board.Fits(0, 2)) << "expert 0 is still there while expert 2 loads";
  EXPECT_TRUE(board.Fits(0, 0)) << "it need not be loaded again";
}

TEST(Board, CountsTheClassThatMostHoldersHave) {
  PlacementInput fleet = EmptyFleet({0, 1, 1}, 3, 1);
  for (PlacementWorker& worker : fleet.workers) worker.holds = ExpertSet::Full(fleet.grid);
  fleet.workers[0].compute_class = 1;
  const Board board(fleet, 0);
  EXPECT_EQ(board.Replicas(0), 2);
  ASSERT_EQ(board.strays().size(), 1u);
  EXPECT_EQ(board.strays()[0].first, 0);
}

TEST(Board, TakesLoadsThatMakeNoSenseForNone) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 1, 4);
  fleet.loads = {-1, NAN, INFINITY, 0};
  const Board board(fleet, 0);
  EXPECT_FALSE(board.knows_loads());
  EXPECT_EQ(board.load(2), 1);
}

}  // namespace
}  // namespace expertmesh
