// packing.h: the first placement, when nobody holds anything.
//
// Memory is dealt to the layers like cards: slot i of all slots of all workers, in order of name,
// belongs to layer i mod layers, so each layer has as many as any other, and each worker about as
// many in each layer. In a layer the hottest experts get replicas (replicas.h); then the copies go,
// the heaviest first, each to the worker that has the least load in this layer, of equal ones to
// the one with the least in the layers before.
//
// That greedy rule is a good one, not the best: where it leaves a layer uneven, other numbers of
// copies are tried, and the most even one is taken.
//
// Experts that count the same are dealt in runs of neighbours. Where the model has routing groups,
// a layer is also packed group by group, each worker filled before the next, and that is taken if
// it is even enough (GoalOf), or less even than the other by 1 % at most.
#pragma once

#include "coordinator/placement/board.h"
#include "coordinator/placement/plan.h"

namespace expertmesh {

// Places what no seat holds; what seats hold already (pins) stays and counts.
void PackAll(Board& board, const PlanOptions& options);

}  // namespace expertmesh
