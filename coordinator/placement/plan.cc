#include "coordinator/placement/plan.h"

#include "coordinator/placement/balance.h"
#include "coordinator/placement/board.h"
#include "coordinator/placement/cover.h"

namespace expertmesh {
namespace {

Round RoundOf(const Board& board, bool cover) {
  Round round;
  round.cover = cover;
  round.loads = Difference(board, board.now(), board.start());
  round.unloads = Difference(board, board.start(), board.now());
  return round;
}

// The next round on a fleet that holds what `board` says; empty when there is nothing to do.
Round NextRound(Board& board, const PlanOptions& options) {
  Cover(board, options);
  if (board.Changed()) return RoundOf(board, true);
  if (!options.balance) return {};
  Balance(board, options);
  return RoundOf(board, false);
}

PlacementInput WithHoldings(PlacementInput input, const Board& board) {
  const SeatCells nothing(board.seats(), board.cells());
  const ExpertsByWorker held = Difference(board, board.now(), nothing);
  for (PlacementWorker& worker : input.workers) {
    const auto found = held.find(worker.name);
    worker.holds = found == held.end() ? ExpertSet(input.grid) : found->second;
    worker.loading = ExpertSet(input.grid);
  }
  return input;
}

}  // namespace

Plan PlanPlacement(const PlacementInput& input, const PlanOptions& options) {
  Plan plan;
  plan.before = Summarize(input);
  Board board(input, options.reserve);
  while (static_cast<int32_t>(plan.rounds.size()) < options.max_rounds) {
    Round round = NextRound(board, options);
    if (round.empty()) break;
    for (const auto& [name, experts] : round.loads) {
      plan.bytes += static_cast<uint64_t>(experts.size()) * input.expert_bytes;
    }
    plan.rounds.push_back(std::move(round));
    board = Board(input, options.reserve, board.now());
  }
  plan.after = Summarize(WithHoldings(input, board));
  plan.uncovered = Uncovered(board);
  plan.unsolved = Unsolved(board);
  return plan;
}

}  // namespace expertmesh
