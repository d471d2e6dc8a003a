#include "coordinator/service/health.h"

#include <optional>
#include <utility>

namespace expertmesh {

HealthWatch::HealthWatch(std::function<bool()> can_serve, std::function<void(bool)> set_serving,
                         Duration period)
    : can_serve_(std::move(can_serve)),
      set_serving_(std::move(set_serving)),
      period_(period),
      thread_([this] { Main(); }) {}

HealthWatch::~HealthWatch() { Stop(); }

void HealthWatch::Stop() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HealthWatch::Main() {
  std::optional<bool> told;
  for (;;) {
    const bool serving = can_serve_();
    if (told != serving) set_serving_(serving);
    told = serving;
    MutexLock lock(mutex_);
    const Time next = Now() + period_;
    while (!stop_ && Now() < next) changed_.wait_until(lock.native(), next);
    if (stop_) return;
  }
}

}  // namespace expertmesh
