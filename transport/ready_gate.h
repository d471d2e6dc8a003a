// ready_gate.h: how a transport learns that the rows of a deferred message are there.
#pragma once

#include <functional>
#include <memory>

#include "common/mutex.h"
#include "device/device.h"

namespace expertmesh {

// A stream that was asked to notify cannot be asked to forget, and may pass its point long after
// the transport has stopped. So a gate belongs to no one: while notifications are outstanding it
// keeps itself alive, and once detached it swallows them.
class ReadyGate final : public Notifier, public std::enable_shared_from_this<ReadyGate> {
 public:
  using Passed = std::function<void(uint64_t token)>;

  // `passed` runs on streams' threads and must not block: it posts.
  static std::shared_ptr<ReadyGate> Make(Passed passed);

  // passed(token) runs once `ready` has passed, maybe before this returns. It puts the request on
  // the event's stream: call it from the thread that feeds that stream.
  void Await(Event ready, uint64_t token);

  // `passed` does not run after this returns.
  void Detach();

  void OnPassed(uint64_t token) override;

 private:
  explicit ReadyGate(Passed passed) : passed_(std::move(passed)) {}

  Mutex mutex_;
  Passed passed_ ABSL_GUARDED_BY(mutex_);
  uint64_t outstanding_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<ReadyGate> self_ ABSL_GUARDED_BY(mutex_);  // while outstanding_ is not 0
};

}  // namespace expertmesh
