// balance.h: a round for balance: whether it is worth while, and what all is to be evened out.
#pragma once

#include "coordinator/placement/board.h"
#include "coordinator/placement/plan.h"

namespace expertmesh {

// Max/mean from which on a placement is even enough: more costs more than it brings. Keeping
// routing groups together is worth 2 %.
double GoalOf(const Board& board);

// One round, if the targets of `options` ask for one: layers above theirs, totals above theirs.
void Balance(Board& board, const PlanOptions& options);

// After the first placement, when nothing costs anything: all layers, until no step helps.
void Polish(Board& board, const PlanOptions& options);

}  // namespace expertmesh
