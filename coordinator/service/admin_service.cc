#include "coordinator/service/admin_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/service/listing.h"
#include "rpc/convert_fleet.h"
#include "rpc/status.h"

namespace expertmesh {

AdminGrpcService::AdminGrpcService(Coordinator* coordinator, Scaler scaler, FleetWatchTiming watch)
    : coordinator_(coordinator),
      scaler_(std::move(scaler)),
      watch_([coordinator] { return ToProto(coordinator->List()); }, watch) {}

void AdminGrpcService::Close() {
  closed_ = true;
  watch_.Stop();
}

grpc::ServerUnaryReactor* AdminGrpcService::Answer(grpc::CallbackServerContext* context,
                                                   const std::function<absl::Status()>& answer) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(closed_ ? TryAgainLater("the coordinator stops") : answer()));
  return reactor;
}

grpc::ServerUnaryReactor* AdminGrpcService::GetTopology(grpc::CallbackServerContext* context,
                                                        const v1::GetTopologyRequest* request,
                                                        v1::GetTopologyResponse* response) {
  return Answer(context, [&] {
    *response = ToProto(coordinator_->List());
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::FleetEvent>* AdminGrpcService::WatchTopology(
    grpc::CallbackServerContext* context, const v1::WatchTopologyRequest* request) {
  return watch_.Serve(context);
}

grpc::ServerUnaryReactor* AdminGrpcService::SetWorkerOrders(
    grpc::CallbackServerContext* context, const v1::SetWorkerOrdersRequest* request,
    v1::SetWorkerOrdersResponse* response) {
  return Answer(context, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const OrdersChange change, FromProto(*request));
    ASSIGN_OR_RETURN(const OrdersNow now, coordinator_->SetOrders(request->name(), change));
    *response->mutable_orders() = ToProto(now.orders);
    if (now.state.has_value()) response->set_state(ToProto(*now.state));
    LogInfo("orders for ", request->name(), ": ", now.orders.cordoned ? "cordoned, " : "",
            now.orders.drain ? "drain, " : "", now.orders.pinned.size(), " experts pinned");
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminGrpcService::Rebalance(grpc::CallbackServerContext* context,
                                                      const v1::RebalanceRequest* request,
                                                      v1::RebalanceResponse* response) {
  return Answer(context, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const PlanAnswer answer, coordinator_->Rebalance(request->force()));
    *response->mutable_plan() = ToProto(answer);
    LogInfo("an operator has the load spread anew");
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminGrpcService::Thaw(grpc::CallbackServerContext* context,
                                                 const v1::ThawRequest* request,
                                                 v1::ThawResponse* response) {
  return Answer(context, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const bool was_frozen, coordinator_->Thaw());
    response->set_was_frozen(was_frozen);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminGrpcService::PlanPlacement(grpc::CallbackServerContext* context,
                                                          const v1::PlanPlacementRequest* request,
                                                          v1::PlanPlacementResponse* response) {
  return Answer(context, [&]() -> absl::Status {
    PlanQuery query;
    query.balance = request->balance();
    query.drain.assign(request->drain().begin(), request->drain().end());
    if (query.drain.size() > kMaxMembers) {
      return absl::InvalidArgumentError(
          absl::StrCat("drain has ", query.drain.size(), " names; at most ", kMaxMembers));
    }
    ASSIGN_OR_RETURN(const PlanAnswer answer, coordinator_->PlanNow(query));
    *response->mutable_plan() = ToProto(answer);
    if (!answer.held_up.empty()) response->set_held_up(answer.held_up);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminGrpcService::Scale(grpc::CallbackServerContext* context,
                                                  const v1::ScaleRequest* request,
                                                  v1::ScaleResponse* response) {
  return Answer(context, [&]() -> absl::Status {
    if (scaler_ == nullptr) {
      return absl::FailedPreconditionError("this coordinator starts no workers");
    }
    if (request->expert_workers() < 1 || request->expert_workers() > kMaxScaledWorkers) {
      return absl::InvalidArgumentError(absl::StrCat("expert_workers is ",
                                                     request->expert_workers(),
                                                     "; it goes from 1 to ", kMaxScaledWorkers));
    }
    ASSIGN_OR_RETURN(const Scaled scaled, scaler_(request->expert_workers()));
    for (const std::string& name : scaled.started) response->add_started(name);
    for (const std::string& name : scaled.drained) response->add_drained(name);
    return absl::OkStatus();
  });
}

}  // namespace expertmesh
