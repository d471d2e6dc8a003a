#include "coordinator/placement/summary.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "coordinator/placement/board.h"

namespace expertmesh {
namespace {

// The chance that a token sends a row of this layer to this seat.
double ChanceOfUse(const Board& board, const Routing& routing, int32_t layer, int32_t seat) {
  const double of_group = board.experts() / static_cast<double>(board.groups());
  const double chosen = std::clamp(routing.chosen_groups, 1, board.groups());
  std::map<int32_t, double> part;  // of a group's rows that come here
  for (Cell cell : board.Items(layer, seat)) {
    part[board.GroupOf(cell)] += 1.0 / board.Replicas(cell) / of_group;
  }
  double unused = 1;
  for (const auto& [group, p] : part) {
    const double none = std::pow(std::max(1 - p, 0.0), routing.top_k / chosen);
    unused *= 1 - chosen / board.groups() * (1 - none);
  }
  return 1 - unused;
}

double FanOut(const Board& board, const Routing& routing) {
  double sum = 0;
  for (int32_t layer = 0; layer < board.layers(); ++layer) {
    for (int32_t s = 0; s < board.seats(); ++s) {
      if (board.Items(layer, s).empty()) continue;
      sum += ChanceOfUse(board, routing, layer, s);
    }
  }
  return board.layers() == 0 ? 0 : sum / board.layers();
}

}  // namespace

BalanceSummary Summarize(const PlacementInput& input) {
  const Board board(input, 0);
  BalanceSummary summary;
  double least = board.TotalMean(), most = least;
  for (int32_t s = 0; s < board.seats(); ++s) {
    if (!board.seat(s).serves) continue;
    least = std::min(least, board.seat(s).total);
    most = std::max(most, board.seat(s).total);
  }
  if (board.TotalMean() > 0) {
    summary.total_max_over_mean = most / board.TotalMean();
    summary.total_min_over_mean = least / board.TotalMean();
  }
  summary.worst_layer = input.grid.first_layer;
  for (int32_t layer = 0; layer < board.layers(); ++layer) {
    const double level = board.LayerLevel(layer);
    if (level <= summary.layer_max_over_mean) continue;
    summary.layer_max_over_mean = level;
    summary.worst_layer = input.grid.first_layer + layer;
  }
  for (Cell cell = 0; cell < board.cells(); ++cell) {
    summary.covered += board.Replicas(cell) > 0;
    summary.replicas += std::max(board.Replicas(cell) - 1, 0);
  }
  summary.fan_out = FanOut(board, input.routing);
  return summary;
}

}  // namespace expertmesh
