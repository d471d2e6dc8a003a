// event_queue.h: virtual time, and what is to happen when.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/clock.h"

namespace expertmesh::simulation {

using Task = std::function<void()>;

// Events run in order of their time; of one time, in the order in which they were put.
class EventQueue {
 public:
  // The world's time. No process sees it: each has a clock of its own (process.h).
  Time now() const { return now_; }

  // Runs `task` at `when`, or as the next one if that is past.
  void At(Time when, Task task);
  void After(Duration delay, Task task) { At(now_ + delay, std::move(task)); }

  // Runs the next event, if it is due by `until`; otherwise false, and it is `until` now.
  bool RunNext(Time until);

  uint64_t events() const { return run_; }
  // Changes with every event's time and order: two runs of one seed have the same.
  uint64_t digest() const { return digest_; }

  // Where virtual time starts: not at zero, which is what unset times have.
  static constexpr Time kStart{std::chrono::hours(1)};

 private:
  struct Event {
    Time when;
    uint64_t order = 0;
    Task task;
  };
  static bool Later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }

  Time now_ = kStart;
  uint64_t next_order_ = 0;
  uint64_t run_ = 0;
  uint64_t digest_ = 0;
  std::vector<Event> heap_;
};

}  // namespace expertmesh::simulation
