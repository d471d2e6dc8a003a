#include "simulation/process.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "simulation/network/socket.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kLongestSchedulingDelay = std::chrono::microseconds(60);
constexpr Duration kSpinStep = std::chrono::microseconds(10);
constexpr int kMostSpins = 200;

}  // namespace

Process::Process(World* world, Monitor* monitor, ProcessIdentity identity)
    : world_(world),
      monitor_(monitor),
      identity_(std::move(identity)),
      label_(absl::StrCat(identity_.name, ".", identity_.life)),
      clock_offset_(world->process_chance.Between(Duration(0), std::chrono::hours(100))) {}

Process::~Process() = default;

void Process::Begin() {
  Post([this] { Start(); });
}

void Process::Post(Task task) {
  if (!alive_) return;
  inbox_.push_back(std::move(task));
  SchedulePump();
}

void Process::SchedulePump() {
  if (pump_scheduled_ || paused_) return;
  pump_scheduled_ = true;
  const Duration delay = world_->process_chance.Between(Duration(0), kLongestSchedulingDelay);
  world_->events.After(delay, [this] {
    pump_scheduled_ = false;
    Pump();
  });
}

void Process::Pump() {
  if (!alive_ || paused_) return;
  batch_.swap(inbox_);
  for (size_t i = 0; i < batch_.size() && alive_; ++i) {
    batch_[i]();
    if (alive_) Inspect();
    if (world_->violation.has_value()) return;
  }
  batch_.clear();
  if (!alive_) return;
  Tick();
  if (!alive_) return;
  Inspect();
  Rearm();
}

void Process::Rearm() {
  const Time wake = ToWorld(NextWakeup());
  const Time now = world_->events.now();
  NoteSpin(wake <= now);
  const Time at = wake <= now ? now + kSpinStep : wake;
  if (at == armed_) return;
  armed_ = at;
  const uint64_t arming = ++arming_;
  if (at == kNever) return;
  world_->events.At(at, [this, arming] {
    if (arming != arming_) return;
    armed_ = kNever;
    Pump();
  });
}

void Process::NoteSpin(bool due_already) {
  spins_ = due_already ? spins_ + 1 : 0;
  if (spins_ <= kMostSpins) return;
  world_->Violate("no_spinning",
                  absl::StrCat(label_, " asked ", spins_, " times in a row to be woken at once"));
}

void Process::Resume() {
  paused_ = false;
  if (alive_) SchedulePump();
}

void Process::JumpClock(Duration forward) {
  clock_offset_ += forward;
  if (alive_) SchedulePump();
}

void Process::Die(bool silent) {
  if (!alive_) return;
  alive_ = false;
  inbox_.clear();
  for (const std::weak_ptr<Socket>& weak : std::exchange(sockets_, {})) {
    if (std::shared_ptr<Socket> socket = weak.lock()) socket->Abandon(silent);
  }
}

void Process::Adopt(const std::shared_ptr<Socket>& socket) {
  if (sockets_.size() >= 64) {
    std::erase_if(sockets_, [](const std::weak_ptr<Socket>& weak) {
      std::shared_ptr<Socket> held = weak.lock();
      return held == nullptr || !held->open();
    });
  }
  sockets_.push_back(socket);
}

}  // namespace expertmesh::simulation
