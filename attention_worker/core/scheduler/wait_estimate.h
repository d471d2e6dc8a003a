// wait_estimate.h: how long a request would wait, from how fast the queue moved lately.
#pragma once

#include <cstddef>
#include <optional>

#include "common/clock.h"

namespace expertmesh {

// Fed with admissions while others wait: their mean distance, the newer the more it counts.
// Threads: one.
class WaitEstimate {
 public:
  // Somebody was admitted; `others_wait` still.
  void OnAdmitted(Time now, bool others_wait);
  // For the one with `ahead` before it; nullopt before the queue has moved a few times.
  std::optional<Duration> For(size_t ahead) const;

 private:
  static constexpr int kSamplesLeast = 4;
  static constexpr double kWeight = 0.125;  // of a new sample

  std::optional<Time> last_;  // admission since which others wait
  double mean_seconds_ = 0;
  int samples_ = 0;
};

}  // namespace expertmesh
