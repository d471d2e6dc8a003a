// unary_reactor.h: one unary gRPC call that is one request of a port: gathered, then answered.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/mutex.h"
#include "rpc/delta_stream.h"
#include "rpc/port_call.h"
#include "rpc/status.h"

namespace expertmesh {

// A whole answer; more does not fit a message.
inline constexpr size_t kMaxUnaryBytes = 16 << 20;

template <typename Request>
class UnaryReactor final : public grpc::ServerUnaryReactor, public PortCall<Request> {
 public:
  // What becomes of the pieces. Called for one piece after the other; `finish` once, after the
  // last one of a request that ended well: it writes the response.
  struct Gather {
    std::function<void(const Delta& piece)> add;
    std::function<void()> finish;
  };

  static grpc::ServerUnaryReactor* Serve(PortCalls<Request>* calls,
                                         grpc::CallbackServerContext* context,
                                         absl::StatusOr<Request> request, Gather gather,
                                         std::unique_ptr<CallWatch> watch = nullptr) {
    std::shared_ptr<UnaryReactor> call(
        new UnaryReactor(calls, std::move(gather), std::move(watch)));
    UnaryReactor* reactor = call.get();
    reactor->Begin(std::move(call), context, std::move(request));
    return reactor;
  }

 private:
  UnaryReactor(PortCalls<Request>* calls, Gather gather, std::unique_ptr<CallWatch> watch)
      : PortCall<Request>(calls, std::move(watch)), gather_(std::move(gather)) {}

  void OnDelta(Delta delta) override {
    this->Watch(delta);
    {
      MutexLock lock(mutex_);
      if (finished_) return;
      bytes_ += WireBytes(delta);
      if (bytes_ <= kMaxUnaryBytes) return gather_.add(delta);
    }
    this->CancelRequest();
    End(absl::ResourceExhaustedError(absl::StrCat("the answer has more than ", kMaxUnaryBytes,
                                                  " bytes; the streaming call has no such bound")));
  }
  void OnEnd(absl::Status status) override { End(std::move(status)); }

  void OnCancel() override {
    this->CancelRequest();
    End(this->WhyCancelled());
  }
  void OnDone() override { this->Leave(); }

  void End(absl::Status status) {
    {
      MutexLock lock(mutex_);
      if (std::exchange(finished_, true)) return;
      if (status.ok()) gather_.finish();
    }
    this->WatchEnd(status);
    this->Finish(ToGrpcStatus(status));
  }

  Mutex mutex_;
  const Gather gather_;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // gathered
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace expertmesh
