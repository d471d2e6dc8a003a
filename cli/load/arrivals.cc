#include "cli/load/arrivals.h"

#include <algorithm>

namespace expertmesh {
namespace {

constexpr double kLatest_s = 1e9;  // some thirty years: what a Duration surely holds

}  // namespace

Duration PoissonArrivals::Next() {
  at_s_ = std::min(at_s_ + draws_.Exponential() / rate_per_s_, kLatest_s);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(at_s_));
}

}  // namespace expertmesh
