// interrupt.h: Ctrl-C as an event of ours instead of the program's end.
#pragma once

#include <functional>
#include <thread>

#include "common/mutex.h"

namespace expertmesh {

// Make one before any other thread: SIGINT is blocked for them all. While one lives, SIGINT calls
// what Set gave last, on a thread of its own; nothing where that is null.
class InterruptHandler {
 public:
  InterruptHandler();
  ~InterruptHandler();
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;

  // When it returns, what was set before is not running and will not run.
  void Set(std::function<void()> on_interrupt);

 private:
  void Main();

  Mutex mutex_;
  std::function<void()> on_interrupt_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace expertmesh
