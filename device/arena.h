// arena.h: a fixed budget of bytes, handed out by bumping. What the hot path has instead of malloc.
#pragma once

#include <cstddef>

#include "absl/types/span.h"
#include "common/check.h"
#include "device/device.h"

namespace expertmesh {

// Owns one Buffer. Take hands out 64-byte aligned pieces; Reset takes all of them back at once.
//
// Sizing is done at start from the token budget, so running out is our own bug: a CHECK. In debug
// builds Reset fills host memory with signalling NaNs, so that a use of freed scratch shows.
// Threads  one.
class Arena {
 public:
  explicit Arena(Buffer buffer) : buffer_(std::move(buffer)) {}

  template <typename T>
  absl::Span<T> Take(size_t count) {
    const size_t begin = (used_ + kAlignment - 1) / kAlignment * kAlignment;
    CHECK(begin + count * sizeof(T) <= buffer_.bytes(), "the arena was sized for less than a step");
    used_ = begin + count * sizeof(T);
    return {reinterpret_cast<T*>(buffer_.data() + begin), count};
  }

  void Reset();
  size_t used() const { return used_; }
  size_t bytes() const { return buffer_.bytes(); }

  // What `count` of T cost at most: for those who add up a budget.
  template <typename T>
  static size_t CostOf(size_t count) {
    return count * sizeof(T) + kAlignment;
  }

 private:
  static constexpr size_t kAlignment = 64;
  Buffer buffer_;
  size_t used_ = 0;
};

}  // namespace expertmesh
