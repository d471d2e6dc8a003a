// cover.h: what has to be right whatever it costs: experts that nobody has, pins, drains.
#pragma once

#include <string>
#include <vector>

#include "coordinator/placement/board.h"
#include "coordinator/placement/plan.h"

namespace expertmesh {

// One round of repairs, as far as memory allows in this round; what has no room makes some for the
// next, by unloading surplus replicas, those first whose loss costs least. In this order: pins of
// what nobody holds, the rest of what nobody holds (the hottest first), other pins, drains.
void Cover(Board& board, const PlanOptions& options);

// What a round of repairs could not change: for people.
std::vector<std::string> Unsolved(const Board& board);
ExpertSet Uncovered(const Board& board);

}  // namespace expertmesh
