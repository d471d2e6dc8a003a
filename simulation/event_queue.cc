#include "simulation/event_queue.h"

#include <algorithm>
#include <utility>

#include "simulation/random.h"

namespace expertmesh::simulation {

void EventQueue::At(Time when, Task task) {
  heap_.push_back({std::max(when, now_), next_order_++, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

bool EventQueue::RunNext(Time until) {
  if (heap_.empty() || heap_.front().when > until) {
    now_ = std::max(now_, until);
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  Event event = std::move(heap_.back());
  heap_.pop_back();
  now_ = event.when;
  ++run_;
  digest_ =
      Mix(digest_ ^ static_cast<uint64_t>(now_.time_since_epoch().count()) ^ (event.order << 40));
  event.task();
  return true;
}

}  // namespace expertmesh::simulation
