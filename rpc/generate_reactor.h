// generate_reactor.h: one server-streaming gRPC call that is one request of a port.
//
// Both generation services are this: the users' over the whole fleet, the workers' over one worker.
// They differ in their messages only.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "rpc/delta_stream.h"
#include "rpc/port_call.h"
#include "rpc/status.h"

namespace expertmesh {

template <typename Request, typename Response>
class GenerateReactor final : public grpc::ServerWriteReactor<Response>, public PortCall<Request> {
 public:
  // Makes the message of a piece. Called for one piece after the other.
  using Encode = std::function<Response(const Delta& piece)>;

  // Serves one call: what the method handler returns. A request that is an error is the call's
  // status. The call's deadline becomes the request's. `watch` sees it all.
  static grpc::ServerWriteReactor<Response>* Serve(PortCalls<Request>* calls,
                                                   grpc::CallbackServerContext* context,
                                                   absl::StatusOr<Request> request, Encode encode,
                                                   std::unique_ptr<CallWatch> watch = nullptr) {
    std::shared_ptr<GenerateReactor> call(
        new GenerateReactor(calls, std::move(encode), std::move(watch)));
    GenerateReactor* reactor = call.get();
    reactor->Begin(std::move(call), context, std::move(request));
    return reactor;
  }

 private:
  using Action = DeltaStream::Action;
  GenerateReactor(PortCalls<Request>* calls, Encode encode, std::unique_ptr<CallWatch> watch)
      : PortCall<Request>(calls, std::move(watch)), encode_(std::move(encode)) {}

  // From the port.
  void OnDelta(Delta delta) override {
    this->Watch(delta);
    bool overflow = false;
    DeltaStream::Turn turn = stream_.OnDelta(std::move(delta), &overflow);
    if (overflow) this->CancelRequest();
    Do(std::move(turn));
  }
  void OnEnd(absl::Status status) override { Do(stream_.OnEnd(std::move(status))); }

  // From gRPC.
  void OnWriteDone(bool ok) override { Do(stream_.OnWritten(ok)); }
  void OnCancel() override {
    this->DetachRequest();  // it may as well be the connection that broke
    Do(stream_.Abandon(this->WhyCancelled()));
  }
  void OnDone() override { this->Leave(); }

  // One turn at a time, and none after kFinish: DeltaStream sees to it.
  void Do(DeltaStream::Turn turn) {
    if (turn.action == Action::kWrite) {
      response_ = encode_(turn.piece);
      this->StartWrite(&response_);
    } else if (turn.action == Action::kFinish) {
      this->WatchEnd(turn.status);
      this->Finish(ToGrpcStatus(turn.status));
    }
  }

  const Encode encode_;
  DeltaStream stream_;
  Response response_;  // of the write in flight
};

}  // namespace expertmesh
