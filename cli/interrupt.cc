#include "cli/interrupt.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace expertmesh {
namespace {

// What ends the handler's thread; nobody else is sent it.
constexpr int kWakeSignal = SIGUSR2;

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, kWakeSignal);
  return signals;
}

}  // namespace

InterruptHandler::InterruptHandler() {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::thread([this] { Main(); });
}

InterruptHandler::~InterruptHandler() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  pthread_kill(thread_.native_handle(), kWakeSignal);
  thread_.join();
}

void InterruptHandler::Set(std::function<void()> on_interrupt) {
  MutexLock lock(mutex_);
  on_interrupt_ = std::move(on_interrupt);
}

void InterruptHandler::Main() {
  const sigset_t signals = Signals();
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    MutexLock lock(mutex_);
    if (stop_) return;
    if (signal == SIGINT && on_interrupt_) on_interrupt_();
  }
}

}  // namespace expertmesh
