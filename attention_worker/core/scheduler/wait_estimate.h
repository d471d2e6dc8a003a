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
  // Nobody waits any more, though nobody was admitted.
  void OnQueueEmpty() { last_.reset(); }
  // For the one with `ahead` before it; nullopt before the queue has moved a few times, and when it
  // has not moved lately: what was long ago says nothing, and must not keep everybody out.
  std::optional<Duration> For(Time now, size_t ahead) const;

 private:
  static constexpr int kSamplesLeast = 4;
  static constexpr Duration kStaleAfter = std::chrono::seconds(10);
  static constexpr double kWeight = 0.125;  // of a new sample

  std::optional<Time> last_;  // admission since which others wait
  Time newest_{};             // sample
  double mean_seconds_ = 0;
  int samples_ = 0;
};

}  // namespace expertmesh
