// health.h: keeps the health of one service in step with the fleet.
#pragma once

#include <condition_variable>
#include <functional>
#include <thread>

#include "common/clock.h"
#include "common/mutex.h"

namespace expertmesh {

inline constexpr Duration kHealthPeriod = std::chrono::milliseconds(500);

// Asks `can_serve` every `period` on a thread of its own and passes each change, and the first
// answer, to `set_serving`.
class HealthWatch {
 public:
  HealthWatch(std::function<bool()> can_serve, std::function<void(bool)> set_serving,
              Duration period = kHealthPeriod);
  ~HealthWatch();  // Stop()s

  // No question or answer after it returns. Idempotent.
  void Stop();

 private:
  void Main();

  const std::function<bool()> can_serve_;
  const std::function<void(bool)> set_serving_;
  const Duration period_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace expertmesh
