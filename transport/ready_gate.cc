#include "transport/ready_gate.h"

#include <utility>

namespace expertmesh {

std::shared_ptr<ReadyGate> ReadyGate::Make(Passed passed) {
  return std::shared_ptr<ReadyGate>(new ReadyGate(std::move(passed)));
}

void ReadyGate::Await(Event ready, uint64_t token) {
  {
    MutexLock lock(mutex_);
    if (outstanding_++ == 0) self_ = shared_from_this();
  }
  // An Event names its stream as const: whoever holds one may ask, not work. A notification is
  // work on the stream, put there in the name of the caller, who feeds it.
  const_cast<Stream*>(ready.stream())->Notify(this, token);
}

void ReadyGate::Detach() {
  MutexLock lock(mutex_);
  passed_ = nullptr;
}

void ReadyGate::OnPassed(uint64_t token) {
  std::shared_ptr<ReadyGate> last;  // released after the lock
  MutexLock lock(mutex_);
  if (passed_) passed_(token);
  if (--outstanding_ == 0) last = std::move(self_);
}

}  // namespace expertmesh
