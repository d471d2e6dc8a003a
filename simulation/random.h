// random.h: the only source of chance in a simulation: the same seed, the same numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/clock.h"

namespace expertmesh::simulation {

// The finaliser of splitmix64: every bit of the result depends on every bit of `value`.
constexpr uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed + 0x9e3779b97f4a7c15u)) {}

  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }
  // In [0, count); count is at least 1.
  uint64_t Below(uint64_t count) { return Next() % count; }
  // In [low, high].
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  Duration Between(Duration low, Duration high) {
    return Duration(Between(int64_t{low.count()}, int64_t{high.count()}));
  }
  // In [low, high], small values more often.
  Duration Skewed(Duration low, Duration high) {
    const Duration cap = Between(low, high);
    return Between(low, cap);
  }
  bool Chance(double probability) {
    return static_cast<double>(Next() >> 11) * 0x1.0p-53 < probability;
  }

  // A source of its own: what is drawn from it does not move this one.
  Random Fork(uint64_t label) const { return Random(Mix(state_ ^ Mix(label + 1))); }

 private:
  uint64_t state_;
};

}  // namespace expertmesh::simulation
