// unary_reactor.h: one unary gRPC call that is one request of a port: gathered, then answered.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "rpc/deadline.h"
#include "rpc/delta_stream.h"
#include "rpc/port_calls.h"
#include "rpc/status.h"

namespace expertmesh {

// A whole answer; more does not fit a message.
inline constexpr size_t kMaxUnaryBytes = 16 << 20;

// Owns itself until gRPC's OnDone; whoever delivers events meanwhile holds it too.
template <typename Request>
class UnaryReactor final : public grpc::ServerUnaryReactor, public CallSink {
 public:
  // What becomes of the pieces. Called for one piece after the other; `finish` once, after the
  // last one of a request that ended well: it writes the response.
  struct Gather {
    std::function<void(const Delta& piece)> add;
    std::function<void()> finish;
  };

  static grpc::ServerUnaryReactor* Serve(PortCalls<Request>* calls,
                                         grpc::CallbackServerContext* context,
                                         absl::StatusOr<Request> request, Gather gather) {
    std::shared_ptr<UnaryReactor> call(new UnaryReactor(calls, std::move(gather)));
    UnaryReactor* reactor = call.get();
    reactor->self_ = call;
    if (!request.ok()) {
      call->OnEnd(request.status());
      return reactor;
    }
    reactor->deadline_ = request->deadline = FromGrpcDeadline(context->deadline());
    calls->Start(reactor->id_, *std::move(request), std::move(call));
    return reactor;
  }

 private:
  UnaryReactor(PortCalls<Request>* calls, Gather gather)
      : calls_(calls), id_(calls->NewId()), gather_(std::move(gather)) {}

  void OnDelta(Delta delta) override {
    {
      MutexLock lock(mutex_);
      if (finished_) return;
      bytes_ += WireBytes(delta);
      if (bytes_ <= kMaxUnaryBytes) return gather_.add(delta);
    }
    calls_->Cancel(id_);
    End(absl::ResourceExhaustedError(absl::StrCat("the answer has more than ", kMaxUnaryBytes,
                                                  " bytes; the streaming call has no such bound")));
  }
  void OnEnd(absl::Status status) override { End(std::move(status)); }

  void OnCancel() override {
    calls_->Cancel(id_);
    End(HasExpired(deadline_) ? absl::DeadlineExceededError("the deadline has passed")
                              : absl::CancelledError("the caller cancelled"));
  }
  void OnDone() override {
    calls_->Cancel(id_);
    self_.reset();  // may delete this
  }

  void End(absl::Status status) {
    {
      MutexLock lock(mutex_);
      if (std::exchange(finished_, true)) return;
      if (status.ok()) gather_.finish();
    }
    this->Finish(ToGrpcStatus(status));
  }

  PortCalls<Request>* const calls_;
  const RequestId id_;
  Time deadline_ = kNever;
  Mutex mutex_;
  const Gather gather_;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // gathered
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<UnaryReactor> self_;
};

}  // namespace expertmesh
