// summary.h: how even a placement is, for people and for the decision when to plan.
#pragma once

#include <cstdint>

#include "coordinator/placement/fleet.h"

namespace expertmesh {

// max/mean is the load of the busiest worker over the mean of all workers that serve: those not
// draining that hold something or may get something. 1 is even; 1 too when there is no load.
struct BalanceSummary {
  double total_max_over_mean = 1;  // all layers together
  double total_min_over_mean = 1;
  double layer_max_over_mean = 1;  // of the worst layer
  int32_t worst_layer = 0;         // the model's number
  int64_t covered = 0;             // experts that somebody holds or loads
  int64_t replicas = 0;            // copies beyond the first of each
  // Distinct workers that a token's rows of one layer go to, in the mean over layers. Taken as if
  // groups were chosen with equal chances and independently of each other, experts of a chosen
  // group likewise, and a replica at random.
  double fan_out = 0;
};

// Of what the workers hold and are loading. A load is split evenly over an expert's replicas.
BalanceSummary Summarize(const PlacementInput& input);

}  // namespace expertmesh
