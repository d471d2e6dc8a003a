// port_calls.h: many calls over one AttentionPort, each kept alive as long as somebody needs it.
//
// A port knows a request by its number and one listener. Here the listener is one object for all
// calls, and a call is found by its number: so an event that comes late, after its call is gone,
// finds nothing, whatever the port's threads do meanwhile.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <unordered_map>

#include "common/mutex.h"
#include "generation/attention_port.h"

namespace expertmesh {

// Where one call's events go.
class CallSink {
 public:
  virtual ~CallSink() = default;
  virtual void OnDelta(Delta delta) = 0;
  virtual void OnEnd(absl::Status status) = 0;
};

// Threads  any. Outlives the calls and must outlive the port's last event: stop the port first.
class PortCalls final : private GenerationListener {
 public:
  // `new_id` makes numbers that are unique at the port.
  PortCalls(AttentionPort* port, std::function<RequestId()> new_id);

  RequestId NewId() { return new_id_(); }
  // The sink gets the request's events until OnEnd or Cancel.
  void Start(RequestId id, GenerateRequest request, std::shared_ptr<CallSink> sink);
  // Cancels at the port and forgets the sink. Unknown and ended ones are ignored.
  void Cancel(RequestId id);

  size_t running() const;
  // Until no call runs or `until` has come. Whether none runs.
  bool WaitIdle(Time until) const;

 private:
  void OnDelta(RequestId id, Delta delta) override;
  void OnEnd(RequestId id, absl::Status status) override;
  std::shared_ptr<CallSink> Find(RequestId id) const;
  std::shared_ptr<CallSink> Take(RequestId id);

  AttentionPort* const port_;
  const std::function<RequestId()> new_id_;
  mutable Mutex mutex_;
  mutable std::condition_variable idle_;
  std::unordered_map<RequestId, std::shared_ptr<CallSink>> sinks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expertmesh
