#include "coordinator/service/attention_stub.h"

#include <grpcpp/client_context.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "expertmesh/v1/attention_service.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/convert_generation.h"
#include "rpc/deadline.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kForgetPatience{2};

// Codes that gRPC itself gives when a server goes away in the middle of a call.
bool IsBroken(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kCancelled ||
         code == absl::StatusCode::kUnknown;
}

}  // namespace

// One Generate call. Kept alive by the port's table until OnDone. The listener is called while it
// is set, under the lock, so that an Abandon that has returned is final.
class GrpcAttentionPort::Call final
    : public grpc::ClientReadReactor<v1::AttentionGenerateResponse> {
 public:
  Call(GrpcAttentionPort* port, RequestId id, const GenerateRequest& request,
       GenerationListener* listener)
      : port_(port),
        id_(id),
        stub_(v1::AttentionService::NewStub(port->channel_)),
        request_(ToProto(request)),
        kept_(request.kept),
        listener_(listener) {
    context_.set_deadline(ToGrpcDeadline(request.deadline));
  }

  void Start() {
    stub_->async()->Generate(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

  // OnEnd(CANCELLED) follows, unless the call has ended otherwise meanwhile.
  void Cancel() {
    {
      MutexLock lock(mutex_);
      cancelled_ = true;
    }
    context_.TryCancel();
  }

  const std::optional<KeptAnswer>& kept() const { return kept_; }

  // Nothing follows.
  void Abandon() {
    {
      MutexLock lock(mutex_);
      listener_ = nullptr;
    }
    context_.TryCancel();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone follows and says why
    absl::StatusOr<Delta> delta = FromProto(response_);
    {
      MutexLock lock(mutex_);
      if (delta.ok() && !finished_) {
        finished_ = delta->finish != FinishReason::kNone;
        if (listener_ != nullptr) listener_->OnDelta(id_, *std::move(delta));
      } else if (!delta.ok()) {
        refused_ = Annotate(absl::InternalError(delta.status().message()),
                            absl::StrCat("attention worker ", port_->name_, " answered nonsense"));
      }
    }
    if (!delta.ok()) context_.TryCancel();
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    {
      MutexLock lock(mutex_);
      if (listener_ != nullptr) listener_->OnEnd(id_, Verdict(FromGrpcStatus(status)));
      listener_ = nullptr;
    }
    port_->Release(id_);  // may delete this
  }

  absl::Status Verdict(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return absl::OkStatus();  // the answer is complete, whatever came after
    if (!refused_.ok()) return refused_;
    if (cancelled_ && !status.ok()) return absl::CancelledError("cancelled by the client");
    if (status.ok()) {
      return absl::InternalError(
          absl::StrCat("attention worker ", port_->name_, " ended without a finish reason"));
    }
    if (!IsBroken(status.code())) return status;
    return WithRetryAfter(absl::UnavailableError(absl::StrCat("attention worker ", port_->name_,
                                                              ": ", status.message())),
                          RetryAfter(status).value_or(kRetryHint));
  }

  GrpcAttentionPort* const port_;
  const RequestId id_;
  const std::unique_ptr<v1::AttentionService::Stub> stub_;
  grpc::ClientContext context_;
  const v1::AttentionGenerateRequest request_;
  const std::optional<KeptAnswer> kept_;
  v1::AttentionGenerateResponse response_;  // of the read in flight

  Mutex mutex_;
  GenerationListener* listener_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
};

// One Forget call. It owns itself until OnDone.
class GrpcAttentionPort::ForgetCall final : public grpc::ClientUnaryReactor {
 public:
  ForgetCall(GrpcAttentionPort* port, const KeptAnswer& kept)
      : port_(port),
        stub_(v1::AttentionService::NewStub(port->channel_)),
        request_(ToForgetProto(kept)) {
    context_.set_deadline(ToGrpcDeadline(Now() + kForgetPatience));
  }
  void Start() {
    stub_->async()->Forget(&context_, &request_, &response_, this);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

 private:
  void OnDone(const grpc::Status&) override {
    GrpcAttentionPort* const port = port_;
    {
      MutexLock lock(port->mutex_);
      port->forgets_.erase(this);
    }
    delete this;
    port->CallIsGone();
  }

  GrpcAttentionPort* const port_;
  const std::unique_ptr<v1::AttentionService::Stub> stub_;
  grpc::ClientContext context_;
  const v1::ForgetRequest request_;
  v1::ForgetResponse response_;
};

GrpcAttentionPort::GrpcAttentionPort(std::string name, std::shared_ptr<grpc::Channel> channel)
    : name_(std::move(name)), channel_(std::move(channel)) {}

GrpcAttentionPort::~GrpcAttentionPort() {
  std::vector<std::shared_ptr<Call>> calls;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, call] : calls_) calls.push_back(call);
  }
  for (const auto& call : calls) call->Abandon();
  // A call refers to its channel, and gRPC cannot bear that the last reference to a channel goes in
  // one of its own callbacks: so calls are not only to be done but gone before channel_ goes.
  calls.clear();
  MutexLock lock(mutex_);
  for (ForgetCall* forget : forgets_) forget->Cancel();
  while (live_calls_ > 0) gone_.wait(lock.native());
}

void GrpcAttentionPort::Start(RequestId id, GenerateRequest request, GenerationListener* listener) {
  auto call = std::make_shared<Call>(this, id, request, listener);
  {
    MutexLock lock(mutex_);
    const bool added = calls_.emplace(id, call).second;
    CHECK(added, "a request's number is never reused");
    ++live_calls_;
  }
  call->Start();
}

// The call alone would not end an answer that is to be kept.
void GrpcAttentionPort::Cancel(RequestId id) {
  const std::shared_ptr<Call> call = Find(id);
  if (call == nullptr) return;
  if (call->kept().has_value()) Forget(*call->kept());
  call->Cancel();
}

void GrpcAttentionPort::Detach(RequestId id) {
  if (const std::shared_ptr<Call> call = Find(id)) call->Cancel();
}

std::shared_ptr<GrpcAttentionPort::Call> GrpcAttentionPort::Find(RequestId id) {
  MutexLock lock(mutex_);
  auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second;
}

void GrpcAttentionPort::Forget(const KeptAnswer& kept) {
  auto* call = new ForgetCall(this, kept);
  MutexLock lock(mutex_);
  ++live_calls_;
  forgets_.insert(call);
  call->Start();
}

void GrpcAttentionPort::Release(RequestId id) {
  std::shared_ptr<Call> call;
  {
    MutexLock lock(mutex_);
    auto found = calls_.find(id);
    call = std::move(found->second);
    calls_.erase(found);
  }
  call.reset();
  CallIsGone();
}

void GrpcAttentionPort::CallIsGone() {
  MutexLock lock(mutex_);
  --live_calls_;
  gone_.notify_all();
}

AttentionPortFactory GrpcAttentionPorts() {
  return [](const std::string& name, const std::string& address) {
    return std::make_unique<GrpcAttentionPort>(absl::StrCat(name, " (", address, ")"),
                                               DialInsecure(address));
  };
}

}  // namespace expertmesh
