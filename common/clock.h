// clock.h: time as a value. Protocol code takes `now` as an argument and never asks for it.
#pragma once

#include <chrono>

namespace expertmesh {

using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

// No wake-up asked for: later than any time.
inline constexpr Time kNever = Time::max();

inline Time Now() { return std::chrono::steady_clock::now(); }

inline constexpr std::chrono::milliseconds Milliseconds(int64_t count) {
  return std::chrono::milliseconds(count);
}

}  // namespace expertmesh
