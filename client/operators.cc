// The operators' half of Client.
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>

#include "client/client.h"
#include "common/status.h"
#include "rpc/deadline.h"
#include "rpc/fleet_delta.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kOrderPatience{5};
constexpr std::chrono::seconds kPlanPatience{60};
constexpr std::chrono::seconds kSilence{10};  // of a server that says something every 3 s

template <typename Request, typename Response>
using Method = grpc::Status (v1::Admin::Stub::*)(grpc::ClientContext*, const Request&, Response*);

template <typename Request, typename Response>
absl::StatusOr<Response> Ask(v1::Admin::Stub& admin, Method<Request, Response> method,
                             const Request& request, Duration patience) {
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(Now() + patience));
  Response response;
  RETURN_IF_ERROR(FromGrpcStatus((admin.*method)(&context, request, &response)));
  return response;
}

// One WatchTopology call, read with a bound on each wait.
class WatchCall {
 public:
  WatchCall(v1::Admin::Stub& admin, grpc::ClientContext& context)
      : context_(context), reader_(admin.AsyncWatchTopology(&context, {}, &queue_, this)) {
    open_ = Next();
  }
  ~WatchCall() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  bool Read(v1::FleetEvent* event) {
    if (!open_) return false;
    reader_->Read(event, this);
    return Next();
  }

  // After the last Read.
  absl::Status Finish() {
    grpc::Status status;
    reader_->Finish(&status, this);
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    if (silent_) {
      return absl::UnavailableError("the server has said nothing for ten seconds");
    }
    return FromGrpcStatus(status);
  }

 private:
  // The result of what was begun; cancels it when it takes too long.
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    const auto got = queue_.AsyncNext(&tag, &ok, ToGrpcDeadline(Now() + kSilence));
    if (got == grpc::CompletionQueue::GOT_EVENT) return ok;
    silent_ = true;
    context_.TryCancel();
    queue_.Next(&tag, &ok);
    return false;
  }

  grpc::ClientContext& context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::FleetEvent>> reader_;
  bool open_ = false, silent_ = false;
};

}  // namespace

absl::Status Client::WatchTopology(
    const std::function<bool(const v1::GetTopologyResponse& fleet)>& on_event) {
  return WithContext(kNever, [&](grpc::ClientContext& context) -> absl::Status {
    WatchCall call(*admin_, context);
    v1::GetTopologyResponse fleet;
    v1::FleetEvent event;
    absl::Status applied;
    bool enough = false;
    while (applied.ok() && !enough && call.Read(&event)) {
      applied = ApplyEvent(event, fleet);
      if (applied.ok()) enough = !on_event(fleet);
    }
    if (!applied.ok() || enough) context.TryCancel();
    const absl::Status ended = call.Finish();
    if (!applied.ok() || enough) return applied;
    return ended.ok() ? absl::UnavailableError("the server ended the watch") : ended;
  });
}

absl::StatusOr<v1::SetWorkerOrdersResponse> Client::SetWorkerOrders(
    const v1::SetWorkerOrdersRequest& request) {
  return Ask(*admin_, &v1::Admin::Stub::SetWorkerOrders, request, kOrderPatience);
}

absl::StatusOr<v1::PlanPlacementResponse> Client::PlanPlacement(
    const v1::PlanPlacementRequest& request) {
  return Ask(*admin_, &v1::Admin::Stub::PlanPlacement, request, kPlanPatience);
}

absl::StatusOr<v1::RebalanceResponse> Client::Rebalance(bool force) {
  v1::RebalanceRequest request;
  request.set_force(force);
  return Ask(*admin_, &v1::Admin::Stub::Rebalance, request, kPlanPatience);
}

absl::StatusOr<v1::ThawResponse> Client::Thaw() {
  return Ask(*admin_, &v1::Admin::Stub::Thaw, v1::ThawRequest(), kOrderPatience);
}

absl::StatusOr<v1::ScaleResponse> Client::Scale(int expert_workers) {
  v1::ScaleRequest request;
  request.set_expert_workers(expert_workers);
  return Ask(*admin_, &v1::Admin::Stub::Scale, request, kPlanPatience);
}

}  // namespace expertmesh
