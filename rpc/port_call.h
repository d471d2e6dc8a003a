// port_call.h: what every gRPC call that is one request of a port has in common: how it begins, is
// cancelled, and ends.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "rpc/call_watch.h"
#include "rpc/deadline.h"
#include "rpc/port_calls.h"

namespace expertmesh {

// The base of a reactor. It owns itself from Begin until Leave, which gRPC's OnDone calls; whoever
// delivers events meanwhile holds it too.
template <typename Request>
class PortCall : public CallSink {
 protected:
  // `watch` may be null.
  PortCall(PortCalls<Request>* calls, std::unique_ptr<CallWatch> watch)
      : calls_(calls), id_(calls->NewId()), watch_(std::move(watch)) {}

  // Starts the request; the call's deadline becomes the request's. A request that is an error is
  // its end.
  void Begin(std::shared_ptr<PortCall> self, grpc::CallbackServerContext* context,
             absl::StatusOr<Request> request) {
    self_ = self;
    if (!request.ok()) return self->OnEnd(request.status());
    deadline_ = request->deadline = FromGrpcDeadline(context->deadline());
    calls_->Start(id_, *std::move(request), std::move(self));
  }
  // A reactor tells of each piece, and of the call's end.
  void Watch(const Delta& piece) {
    if (watch_ != nullptr) watch_->OnPiece(piece);
  }
  void WatchEnd(const absl::Status& status) {
    if (watch_ != nullptr) watch_->OnEnd(status);
  }
  // No event comes after it but one that is on its way.
  void CancelRequest() { calls_->Cancel(id_); }
  void DetachRequest() { calls_->Detach(id_); }  // the same, but an answer that is to be kept is
  // What a call that gRPC cancelled ends with.
  absl::Status WhyCancelled() const {
    return HasExpired(deadline_) ? absl::DeadlineExceededError("the deadline has passed")
                                 : absl::CancelledError("the caller cancelled");
  }
  // The last of the call: may delete this.
  void Leave() {
    CancelRequest();  // where the call ended before the request
    self_.reset();
  }

 private:
  PortCalls<Request>* const calls_;
  const RequestId id_;
  const std::unique_ptr<CallWatch> watch_;
  Time deadline_ = kNever;
  std::shared_ptr<PortCall> self_;
};

}  // namespace expertmesh
