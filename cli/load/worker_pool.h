// worker_pool.h: threads for jobs that block, one each, made as they are needed.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "common/mutex.h"

namespace expertmesh {

// Threads  any.
class WorkerPool {
 public:
  explicit WorkerPool(int most) : most_(most) {}
  ~WorkerPool();  // when all jobs are done
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs `job` at once on a thread of its own. False, and nothing happens, while `most` run.
  bool Start(std::function<void()> job);

 private:
  void Main();

  const int most_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  int unfinished_ ABSL_GUARDED_BY(mutex_) = 0;  // jobs
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace expertmesh
