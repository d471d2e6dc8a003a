// process.h: how a program of ours lives and ends: what it prints, what it waits for, its exit
// code.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace expertmesh {

// Blocks SIGINT and SIGTERM for the calling thread and all that it makes later, so that they end up
// in Wait. Make it first in main, before any thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Until a signal comes (its number), Wake was called or `most` has passed (nullopt). One thread.
  std::optional<int> Wait(Duration most = Duration::max());
  // From any thread, any number of times, also before Wait.
  void Wake();

 private:
  int signals_ = -1;  // signalfd
  int wakes_ = -1;    // eventfd
};

// Why a program ends by itself, told on some other thread; OK where a signal ended it.
class ExitReason {
 public:
  explicit ExitReason(StopSignals* signals) : signals_(signals) {}
  // The first one counts; wakes the signals' Wait.
  void Set(absl::Status why);
  absl::Status Get() const;

 private:
  StopSignals* const signals_;
  mutable Mutex mutex_;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

inline constexpr int kExitFailed = 1;
inline constexpr int kExitFenced = 3;  // another life has the name: do not start this one again

// The line on stdout that scripts wait for: "listening on ADDRESS".
void AnnounceListening(const std::string& address);

// 0 for OK; else prints "program: why" on stderr and gives the exit code: kExitFenced for ABORTED,
// which is how a worker is told that it is fenced, kExitFailed for anything else.
int ExitCode(const std::string& program, const absl::Status& why);

}  // namespace expertmesh
