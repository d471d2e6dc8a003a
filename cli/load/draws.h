// draws.h: the random numbers of a workload: each a function of its seed and place.
#pragma once

#include <cstdint>

namespace expertmesh {

// What is drawn. Streams do not touch each other: more turns do not change the arrivals.
enum class DrawStream : uint32_t { kArrivals, kLengths, kPrefix, kFresh };

// Where a series of draws stands. The same place gives the same series, on any thread, in any
// order.
struct DrawSeries {
  uint64_t seed = 0;
  DrawStream stream = DrawStream::kArrivals;
  uint32_t point = 0;  // of a sweep
  uint32_t index = 0;  // of the conversation, or of the prefix group
};

class Draws {
 public:
  explicit Draws(DrawSeries series) : series_(series) {}

  double Uniform();      // in [0, 1)
  double Exponential();  // mean 1
  double Normal();       // mean 0, deviation 1
  // Each whole number from `low` to `high` is as likely.
  int32_t Between(int32_t low, int32_t high);

 private:
  DrawSeries series_;
  uint32_t drawn_ = 0;
};

}  // namespace expertmesh
