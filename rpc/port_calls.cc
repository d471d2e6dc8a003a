#include "rpc/port_calls.h"

#include <utility>

namespace expertmesh {

PortCalls::PortCalls(AttentionPort* port, std::function<RequestId()> new_id)
    : port_(port), new_id_(std::move(new_id)) {}

void PortCalls::Start(RequestId id, GenerateRequest request, std::shared_ptr<CallSink> sink) {
  {
    MutexLock lock(mutex_);
    sinks_[id] = std::move(sink);
  }
  port_->Start(id, std::move(request), this);
}

void PortCalls::Cancel(RequestId id) {
  if (Take(id) != nullptr) port_->Cancel(id);
}

size_t PortCalls::running() const {
  MutexLock lock(mutex_);
  return sinks_.size();
}

bool PortCalls::WaitIdle(Time until) const {
  MutexLock lock(mutex_);
  while (!sinks_.empty() && Now() < until) idle_.wait_until(lock.native(), until);
  return sinks_.empty();
}

void PortCalls::OnDelta(RequestId id, Delta delta) {
  if (auto sink = Find(id)) sink->OnDelta(std::move(delta));
}

void PortCalls::OnEnd(RequestId id, absl::Status status) {
  if (auto sink = Take(id)) sink->OnEnd(std::move(status));
}

std::shared_ptr<CallSink> PortCalls::Find(RequestId id) const {
  MutexLock lock(mutex_);
  auto found = sinks_.find(id);
  return found == sinks_.end() ? nullptr : found->second;
}

std::shared_ptr<CallSink> PortCalls::Take(RequestId id) {
  MutexLock lock(mutex_);
  auto found = sinks_.find(id);
  if (found == sinks_.end()) return nullptr;
  std::shared_ptr<CallSink> sink = std::move(found->second);
  sinks_.erase(found);
  if (sinks_.empty()) idle_.notify_all();
  return sink;
}

}  // namespace expertmesh
