// mutex.h: std::mutex with the annotations that clang's thread-safety analysis reads.
//
// Instead of absl::Mutex: the packaged Abseil is not built for ThreadSanitizer.
#pragma once

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace expertmesh {

class ABSL_LOCKABLE Mutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : lock_(mutex.native()) {}
  ~MutexLock() ABSL_UNLOCK_FUNCTION() {}

  // For std::condition_variable::wait, which lets go of the mutex and takes it again.
  std::unique_lock<std::mutex>& native() { return lock_; }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace expertmesh
