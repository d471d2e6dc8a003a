// usual_time.h: how long calls take at the moment, so that one that takes much longer is noticed.
//
// Calls are told apart by their size, in powers of two: a call of more rows takes longer.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "common/clock.h"

namespace expertmesh {

// Threads: one.
class UsualTime {
 public:
  // A call for so many (row, expert) pairs was answered.
  void OnAnswered(size_t pairs, Duration took) {
    Size& size = sizes_[ClassOf(pairs)];
    const auto faded = std::chrono::duration_cast<Duration>(size.longest * kFade);
    size.longest = std::max(faded, took);
    size.seen = std::min(size.seen + 1, kEnough);
  }

  // The longest of late, which fades from call to call. Nullopt: too few of that size were seen.
  std::optional<Duration> Longest(size_t pairs) const {
    const Size& size = sizes_[ClassOf(pairs)];
    return size.seen < kEnough ? std::nullopt : std::optional<Duration>(size.longest);
  }

 private:
  static constexpr double kFade = 0.98;
  static constexpr int kEnough = 4;
  struct Size {
    Duration longest{};
    int seen = 0;
  };

  static size_t ClassOf(size_t pairs) {
    return std::min<size_t>(std::bit_width(pairs), kClasses - 1);
  }

  static constexpr size_t kClasses = 24;
  std::array<Size, kClasses> sizes_;
};

}  // namespace expertmesh
