// length.h: how many tokens: a number, a range, or a long-tailed distribution.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "cli/load/draws.h"

namespace expertmesh {

inline constexpr int32_t kMaxLoadTokens = 1 << 20;

class LengthDistribution {
 public:
  // "128": always. "64..256": uniform, both ends included. "lognormal:MEAN:SIGMA:MAX": the mean of
  // the lengths before the cut, the deviation of their logarithm, and the longest: what is drawn
  // above counts as it. Lengths go from 1 to kMaxLoadTokens, sigma from 0 to 4.
  // Errors  INVALID_ARGUMENT: what cannot be read, or is out of its bounds.
  static absl::StatusOr<LengthDistribution> Parse(const std::string& text);

  int32_t Draw(Draws& draws) const;

 private:
  static absl::StatusOr<LengthDistribution> ParseLognormal(const std::string& text);

  bool lognormal_ = false;
  int32_t low_ = 1, high_ = 1;
  double mean_ = 0, sigma_ = 0;
};

}  // namespace expertmesh
