#include "rpc/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "common/check.h"

namespace expertmesh {

StopSignals::StopSignals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  CHECK(pthread_sigmask(SIG_BLOCK, &stop, nullptr) == 0, "signals can be blocked");
  signals_ = signalfd(-1, &stop, SFD_CLOEXEC);
  wakes_ = eventfd(0, EFD_CLOEXEC);
  CHECK(signals_ >= 0 && wakes_ >= 0, "a new process has file descriptors left");
}

StopSignals::~StopSignals() {
  close(signals_);
  close(wakes_);
}

std::optional<int> StopSignals::Wait(Duration most) {
  const bool bounded = most != Duration::max();
  const Time until = bounded ? Now() + most : kNever;
  for (;;) {
    pollfd ready[2] = {{signals_, POLLIN, 0}, {wakes_, POLLIN, 0}};
    int timeout_ms = -1;
    if (bounded) {
      using std::chrono::milliseconds;
      const auto left = std::chrono::ceil<milliseconds>(until - Now()).count();
      if (left <= 0) return std::nullopt;
      timeout_ms = static_cast<int>(std::min<int64_t>(left, 1 << 30));
    }
    if (poll(ready, 2, timeout_ms) <= 0) continue;  // EINTR, or looked at above
    signalfd_siginfo info{};
    if ((ready[0].revents & POLLIN) != 0 && read(signals_, &info, sizeof info) == sizeof info) {
      return static_cast<int>(info.ssi_signo);
    }
    uint64_t wakes = 0;
    if ((ready[1].revents & POLLIN) != 0 && read(wakes_, &wakes, sizeof wakes) == sizeof wakes) {
      return std::nullopt;
    }
  }
}

void StopSignals::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wakes_, &one, sizeof one);
}

void ExitReason::Set(absl::Status why) {
  {
    MutexLock lock(mutex_);
    if (why_.ok()) why_ = std::move(why);
  }
  signals_->Wake();
}

absl::Status ExitReason::Get() const {
  MutexLock lock(mutex_);
  return why_;
}

void AnnounceListening(const std::string& address) {
  std::printf("listening on %s\n", address.c_str());
  std::fflush(stdout);
}

int ExitCode(const std::string& program, const absl::Status& why) {
  if (why.ok()) return 0;
  std::fprintf(stderr, "%s: %s\n", program.c_str(), std::string(why.message()).c_str());
  return why.code() == absl::StatusCode::kAborted ? kExitFenced : kExitFailed;
}

}  // namespace expertmesh
