// mailbox.h: how other threads talk to a control thread: they post, it drains.
//
// Any thread posts; one thread drains. Values come out in the order in which they were posted. The
// two vectors inside change places, so a settled mailbox does not allocate. Bounded by who posts:
// credits, admission and frame limits hold the number of posts in flight.
#pragma once

#include <condition_variable>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"

namespace expertmesh {

template <typename T>
class Mailbox {
 public:
  // False once the mailbox is closed: the value is dropped.
  bool Post(T value) {
    {
      MutexLock lock(mutex_);
      if (closed_) return false;
      incoming_.push_back(std::move(value));
    }
    ready_.notify_one();
    return true;
  }

  // Waits for a post or for `until`, then puts all that came into `out` (cleared first).
  void Drain(Time until, std::vector<T>& out) {
    out.clear();
    MutexLock lock(mutex_);
    while (incoming_.empty()) {
      if (until == kNever) {
        ready_.wait(lock.native());
      } else if (ready_.wait_until(lock.native(), until) == std::cv_status::timeout) {
        break;
      }
    }
    out.swap(incoming_);
  }

  // Later posts are refused; what is inside comes out into `out` (cleared first): the last Drain.
  void Close(std::vector<T>& out) {
    out.clear();
    MutexLock lock(mutex_);
    closed_ = true;
    out.swap(incoming_);
  }
  // The same, and what is inside is destroyed.
  void Close() {
    std::vector<T> dropped;
    Close(dropped);
  }

 private:
  Mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> incoming_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace expertmesh
