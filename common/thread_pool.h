// thread_pool.h: the compute threads, and the one way to spread work over them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <thread>
#include <vector>

#include "common/mutex.h"

namespace expertmesh {

// `threads` counts the calling thread too: 1 makes no thread at all.
//
// Threads  one caller of ParallelFor at a time. Each worker runs with the floating-point mode of
//          SetFloatingPointMode, so that bits do not depend on what a library left behind.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) for pieces of at most `grain` indices that cover [0, count) once, and
  // returns when all are done. Which thread takes which piece is not fixed: results must not
  // depend on it. No allocation.
  template <typename Body>
  void ParallelFor(int64_t count, int64_t grain, Body&& body) {
    Run(count, grain, &body, [](void* context, int64_t begin, int64_t end) {
      (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
    });
  }

 private:
  using Piece = void (*)(void* context, int64_t begin, int64_t end);
  struct Job {
    Piece piece = nullptr;
    void* context = nullptr;
    int64_t count = 0;
    int64_t grain = 1;
  };

  void Run(int64_t count, int64_t grain, void* context, Piece piece);
  void TakePieces(const Job& job);
  void WorkerMain();

  Mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  Job job_ ABSL_GUARDED_BY(mutex_);
  uint64_t job_number_ ABSL_GUARDED_BY(mutex_) = 0;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<int64_t> next_{0};
  std::vector<std::thread> workers_;
};

// IEEE arithmetic on the calling thread: round to nearest even, subnormals kept.
void SetFloatingPointMode();

}  // namespace expertmesh
