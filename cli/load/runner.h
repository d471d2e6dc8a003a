// runner.h: one run at one load: sends the work of a Workload when it is due, and takes the times.
#pragma once

#include <condition_variable>
#include <functional>
#include <optional>
#include <string>

#include "cli/load/record.h"
#include "cli/load/worker_pool.h"
#include "cli/load/workload.h"
#include "common/mutex.h"
#include "generation/user_request.h"

namespace expertmesh {

// Where requests go. Called by many threads at once.
struct LoadTarget {
  // Blocks until the answer is complete; gives its pieces to the function, on the calling thread.
  std::function<absl::Status(const UserRequest&, const std::function<void(const Delta&)>&)>
      generate;
  // Ends what runs.
  std::function<void()> cancel_running;
};

// What each request says besides its prompt and its length.
struct RequestShape {
  std::optional<float> temperature;
  int32_t priority = 0;
  std::string cache_salt;
  bool distinct_salts = false;     // each request's salt is one of its own: it finds nothing cached
  Duration timeout = Duration(0);  // 0: none
};

struct RunOptions {
  LoadLevel level;
  int64_t requests = 0;         // 0: no bound
  Duration time = Duration(0);  // no request begins later; 0: no bound
  int max_in_flight = 1024;     // a bound on an open loop; a closed one has its own
  RequestShape shape;
  WorkloadOptions work;
  uint32_t first_conversation = 0;  // conversations are numbered, and so drawn, from here
};

struct RunProgress {
  int64_t begun = 0, ended = 0, failed = 0, not_sent = 0;
  Duration elapsed{};
};

// One run. At least one of options.requests and options.time bounds it.
class Runner {
 public:
  using OnTick = std::function<void(const RunProgress&)>;
  // `on_tick` is called a few times per second by the thread that runs Run.
  Runner(LoadTarget target, RunOptions options, OnTick on_tick);

  // Blocks until all that began has ended. Once.
  RunResult Run();
  // From any thread: nothing begins any more, and what runs is cancelled.
  void Interrupt();
  // From any thread.
  RunProgress Progress() const;

 private:
  struct Job {
    uint32_t conversation = 0;
    int turns = 0;
  };

  void RunOpen(WorkerPool& pool);
  void RunClosed(WorkerPool& pool);
  // The next conversation, unless the run is to begin none at `when`.
  std::optional<Job> Claim(Time when);
  bool MayBegin(Time when) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Its turns, one after the other, up to the first that fails: false. `due`: when it was to begin;
  // nullopt: when it does.
  bool Converse(const Job& job, std::optional<Time> due);
  RequestRecord Ask(const UserRequest& request, std::optional<Time> due,
                    std::vector<int32_t>& answer);
  UserRequest RequestOf(Turn turn, const std::string& name) const;
  void AddNotSent(int count);
  void OnJob(int change);  // one more runs, or one less
  // Until `until`, an interruption, or (of a drain) until nothing runs; ticks meanwhile.
  enum class Wait { kForArrival, kForDrain };
  void WaitUntil(Time until, Wait wait);

  const LoadTarget target_;
  const RunOptions options_;
  const OnTick on_tick_;
  const Time start_ = Now();
  mutable Mutex mutex_;
  std::condition_variable changed_;
  RunResult result_ ABSL_GUARDED_BY(mutex_);
  RunProgress progress_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_conversation_ ABSL_GUARDED_BY(mutex_);
  int64_t claimed_ ABSL_GUARDED_BY(mutex_) = 0;  // requests
  int running_ ABSL_GUARDED_BY(mutex_) = 0;      // jobs
};

}  // namespace expertmesh
