// arrivals.h: when an open loop's requests arrive, whether or not the server keeps up.
#pragma once

#include "cli/load/draws.h"
#include "common/clock.h"

namespace expertmesh {

// A Poisson process: the gaps are drawn independently from an exponential distribution.
class PoissonArrivals {
 public:
  PoissonArrivals(double rate_per_s, uint64_t seed)
      : rate_per_s_(rate_per_s), draws_({seed, DrawStream::kArrivals}) {}

  // The next arrival, since the start.
  Duration Next();

 private:
  double rate_per_s_;
  Draws draws_;
  double at_s_ = 0;
};

}  // namespace expertmesh
