#include "rpc/port_calls.h"

#include <utility>

namespace expertmesh {

void CallTable::Insert(RequestId id, std::shared_ptr<CallSink> sink) {
  MutexLock lock(mutex_);
  sinks_[id] = std::move(sink);
}

size_t CallTable::running() const {
  MutexLock lock(mutex_);
  return sinks_.size();
}

bool CallTable::WaitIdle(Time until) const {
  MutexLock lock(mutex_);
  while (!sinks_.empty() && Now() < until) idle_.wait_until(lock.native(), until);
  return sinks_.empty();
}

void CallTable::OnDelta(RequestId id, Delta delta) {
  if (auto sink = Find(id)) sink->OnDelta(std::move(delta));
}

void CallTable::OnEnd(RequestId id, absl::Status status) {
  if (auto sink = Take(id)) sink->OnEnd(std::move(status));
}

std::shared_ptr<CallSink> CallTable::Find(RequestId id) const {
  MutexLock lock(mutex_);
  auto found = sinks_.find(id);
  return found == sinks_.end() ? nullptr : found->second;
}

std::shared_ptr<CallSink> CallTable::Take(RequestId id) {
  MutexLock lock(mutex_);
  auto found = sinks_.find(id);
  if (found == sinks_.end()) return nullptr;
  std::shared_ptr<CallSink> sink = std::move(found->second);
  sinks_.erase(found);
  if (sinks_.empty()) idle_.notify_all();
  return sink;
}

}  // namespace expertmesh
