#include "coordinator/placement/balance.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/placement/improve.h"

namespace expertmesh {

double GoalOf(const Board& board) { return board.groups() > 1 ? 1.02 : 1.01; }

namespace {

constexpr int32_t kSweeps = 8;

// The price of a routing group on one more seat, in squares of a share of the mean.
constexpr double kGroupCost = 0.001;

ScoreOptions ScoreOf(const Board& board, const PlanOptions& options) {
  return {GoalOf(board), options.idle_target, board.groups() > 1 ? kGroupCost : 0};
}

ImproveOptions ImproveBy(const Board& board, const PlanOptions& options, double min_gain) {
  return {ScoreOf(board, options), min_gain, board.knows_loads() || options.spare_replicas,
          options.spare_replicas};
}

bool TotalsAreUneven(const Board& board, const PlanOptions& options) {
  const double mean = board.TotalMean();
  for (int32_t s = 0; s < board.seats(); ++s) {
    if (!board.seat(s).serves) continue;
    const double total = board.seat(s).total;
    if (total > options.total_target * mean) return true;
    if (board.seat(s).takes && total < options.idle_target * mean) return true;
  }
  return false;
}

// The seat least loaded in the layer that has room for a replica and leaves one slot free; -1:
// none.
int32_t SpareSeat(const Board& board, Cell cell) {
  if (board.Replicas(cell) == 0) return -1;
  const int32_t layer = board.LayerOf(cell);
  const auto key = [&](int32_t s) {
    return std::pair(board.LayerLoad(layer, s), board.seat(s).total);
  };
  int32_t best = -1;
  for (int32_t s = 0; s < board.seats(); ++s) {
    const Seat& seat = board.seat(s);
    if (seat.held >= std::min(seat.limit, seat.room - 1) || !board.CanAdd(s, cell)) continue;
    if (best < 0 || key(s) < key(best)) best = s;
  }
  return best;
}

// A replica here and there, of the rarest and hottest experts first.
void FillSpareMemory(Board& board) {
  std::vector<Cell> cells(board.cells());
  std::iota(cells.begin(), cells.end(), 0);
  for (bool added = true; added;) {
    added = false;
    std::stable_sort(cells.begin(), cells.end(), [&](Cell a, Cell b) {
      return std::pair(board.Replicas(a), -board.load(a)) <
             std::pair(board.Replicas(b), -board.load(b));
    });
    for (Cell cell : cells) {
      const int32_t seat = SpareSeat(board, cell);
      if (seat >= 0) board.Add(seat, cell);
      added |= seat >= 0;
    }
  }
}

void Sweep(Improver improver, absl::Span<const int32_t> layers, bool totals) {
  for (int32_t sweep = 0; sweep < kSweeps; ++sweep) {
    bool changed = false;
    for (int32_t layer : layers) changed |= improver.EvenLayer(layer);
    if (totals) changed |= improver.EvenTotals();
    if (!changed) break;
  }
}

// Without this replica no seat would have more than is even enough.
bool IsSpareReplica(const Board& board, int32_t seat, Cell cell, double goal) {
  if (board.Replicas(cell) < 2 || !board.CanRemove(seat, cell)) return false;
  const int32_t layer = board.LayerOf(cell);
  const double more = board.Share(cell) / (board.Replicas(cell) - 1);
  const absl::Span<const int32_t> holders = board.Holders(cell);
  return std::all_of(holders.begin(), holders.end(), [&](int32_t s) {
    return s == seat || board.LayerLoad(layer, s) + more <= goal * board.LayerMean(layer);
  });
}

// Swaps need a slot on both sides: a full seat gives up a replica that is of no use.
void FreeOneSlotEach(Board& board, double goal) {
  for (int32_t s = 0; s < board.seats(); ++s) {
    const Seat& seat = board.seat(s);
    if (!seat.takes || seat.memory != seat.room) continue;
    std::optional<Cell> spare;
    for (int32_t layer = 0; layer < board.layers() && !spare.has_value(); ++layer) {
      for (Cell cell : board.Items(layer, s)) {
        if (IsSpareReplica(board, s, cell, goal)) spare = cell;
      }
    }
    if (spare.has_value()) board.Remove(s, *spare);
  }
}

}  // namespace

void Balance(Board& board, const PlanOptions& options) {
  std::vector<int32_t> layers;
  for (int32_t layer = 0; layer < board.layers(); ++layer) {
    if (board.LayerLevel(layer) > options.layer_target) layers.push_back(layer);
  }
  const bool totals = TotalsAreUneven(board, options);
  if (!layers.empty() || totals) {
    if (!options.spare_replicas) FreeOneSlotEach(board, GoalOf(board));
    const ImproveOptions improve = ImproveBy(board, options, options.min_gain);
    Sweep(Improver(board, improve), layers, totals);
  }
  if (options.spare_replicas) FillSpareMemory(board);
}

void Polish(Board& board, const PlanOptions& options) {
  std::vector<int32_t> layers(board.layers());
  std::iota(layers.begin(), layers.end(), 0);
  const ImproveOptions improve = ImproveBy(board, options, 0);
  Sweep(Improver(board, improve), layers, true);
  Balance(board, options);
}

}  // namespace expertmesh
