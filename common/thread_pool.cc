#include "common/thread_pool.h"

#include <algorithm>

#include "common/check.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace expertmesh {

void SetFloatingPointMode() {
#if defined(__x86_64__)
  constexpr unsigned kAllExceptionsMasked = 0x1f80;  // and: nearest even, no FTZ, no DAZ
  _mm_setcsr(kAllExceptionsMasked);
#else
  std::fesetenv(FE_DFL_ENV);
#endif
}

ThreadPool::ThreadPool(int threads) {
  CHECK(threads >= 1, "a pool has at least the calling thread");
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { WorkerMain(); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::TakePieces(const Job& job) {
  for (;;) {
    const int64_t begin = next_.fetch_add(job.grain, std::memory_order_relaxed);
    if (begin >= job.count) return;
    job.piece(job.context, begin, std::min(begin + job.grain, job.count));
  }
}

void ThreadPool::Run(int64_t count, int64_t grain, void* context, Piece piece) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (workers_.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) {
      piece(context, begin, std::min(begin + grain, count));
    }
    return;
  }
  Job job{piece, context, count, grain};
  {
    MutexLock lock(mutex_);
    job_ = job;
    next_.store(0, std::memory_order_relaxed);
    busy_ = static_cast<int>(workers_.size());
    ++job_number_;
  }
  start_.notify_all();
  TakePieces(job);
  MutexLock lock(mutex_);
  while (busy_ != 0) done_.wait(lock.native());
}

void ThreadPool::WorkerMain() {
  SetFloatingPointMode();
  uint64_t seen = 0;
  for (;;) {
    Job job;
    {
      MutexLock lock(mutex_);
      while (!stop_ && job_number_ == seen) start_.wait(lock.native());
      if (stop_) return;
      seen = job_number_;
      job = job_;
    }
    TakePieces(job);
    MutexLock lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace expertmesh
