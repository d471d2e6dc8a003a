#include "cli/load/worker_pool.h"

#include <utility>

namespace expertmesh {

WorkerPool::~WorkerPool() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stop_ = true;
    threads.swap(threads_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

bool WorkerPool::Start(std::function<void()> job) {
  MutexLock lock(mutex_);
  if (unfinished_ == most_) return false;
  jobs_.push_back(std::move(job));
  if (++unfinished_ > static_cast<int>(threads_.size())) {
    threads_.emplace_back([this] { Main(); });
  }
  changed_.notify_one();
  return true;
}

void WorkerPool::Main() {
  for (;;) {
    std::function<void()> job;
    {
      MutexLock lock(mutex_);
      while (jobs_.empty() && !stop_) changed_.wait(lock.native());
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
    MutexLock lock(mutex_);
    --unfinished_;
  }
}

}  // namespace expertmesh
