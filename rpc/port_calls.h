// port_calls.h: many calls over one RequestPort, each kept alive as long as somebody needs it.
//
// A port knows a request by its number and one listener. Here the listener is one object for all
// calls, and a call is found by its number: so an event that comes late, after its call is gone,
// finds nothing, whatever the port's threads do meanwhile.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common/clock.h"
#include "common/mutex.h"
#include "generation/request_port.h"

namespace expertmesh {

// Where one call's events go.
class CallSink {
 public:
  virtual ~CallSink() = default;
  virtual void OnDelta(Delta delta) = 0;
  virtual void OnEnd(absl::Status status) = 0;
};

// Which calls run, by number. Threads: any.
class CallTable final : public GenerationListener {
 public:
  void Insert(RequestId id, std::shared_ptr<CallSink> sink);
  // Forgets a call; null if it is unknown.
  std::shared_ptr<CallSink> Take(RequestId id);
  size_t running() const;
  // Until no call runs or `until` has come. Whether none runs.
  bool WaitIdle(Time until) const;

  void OnDelta(RequestId id, Delta delta) override;
  void OnEnd(RequestId id, absl::Status status) override;

 private:
  std::shared_ptr<CallSink> Find(RequestId id) const;

  mutable Mutex mutex_;
  mutable std::condition_variable idle_;
  std::unordered_map<RequestId, std::shared_ptr<CallSink>> sinks_ ABSL_GUARDED_BY(mutex_);
};

// Threads  any. Outlives the calls and must outlive the port's last event: stop the port first.
template <typename Request>
class PortCalls {
 public:
  // `new_id` makes numbers that are unique at the port.
  PortCalls(RequestPort<Request>* port, std::function<RequestId()> new_id)
      : port_(port), new_id_(std::move(new_id)) {}

  RequestId NewId() { return new_id_(); }
  // The sink gets the request's events until OnEnd or Cancel.
  void Start(RequestId id, Request request, std::shared_ptr<CallSink> sink) {
    table_.Insert(id, std::move(sink));
    port_->Start(id, std::move(request), &table_);
  }
  // Cancels at the port and forgets the sink. Unknown and ended ones are ignored.
  void Cancel(RequestId id) {
    if (table_.Take(id) != nullptr) port_->Cancel(id);
  }

  // The same, but an answer that is to be kept is.
  void Detach(RequestId id) {
    if (table_.Take(id) != nullptr) port_->Detach(id);
  }

  size_t running() const { return table_.running(); }
  bool WaitIdle(Time until) const { return table_.WaitIdle(until); }

 private:
  RequestPort<Request>* const port_;
  const std::function<RequestId()> new_id_;
  CallTable table_;
};

}  // namespace expertmesh
