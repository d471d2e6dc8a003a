// admin_service.h: the operators' API.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/coordinator.h"
#include "coordinator/service/fleet_watch.h"
#include "expertmesh/v1/admin.grpc.pb.h"

namespace expertmesh {

// What Admin.Scale did.
struct Scaled {
  std::vector<std::string> started, drained;  // names
};

// Starts and drains expert workers until there are so many; may block while it reads a checkpoint's
// headers. From any thread.
using Scaler = std::function<absl::StatusOr<Scaled>(int expert_workers)>;

inline constexpr int kMaxScaledWorkers = 64;

// Outlives the server.
class AdminGrpcService final : public v1::Admin::CallbackService {
 public:
  // `coordinator` answers within a turn of membership's thread. `scaler` may be null: the workers
  // are processes of their own.
  explicit AdminGrpcService(Coordinator* coordinator, Scaler scaler = nullptr,
                            FleetWatchTiming watch = {});

  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const v1::GetTopologyRequest* request,
                                        v1::GetTopologyResponse* response) override;
  grpc::ServerWriteReactor<v1::FleetEvent>* WatchTopology(
      grpc::CallbackServerContext* context, const v1::WatchTopologyRequest* request) override;
  grpc::ServerUnaryReactor* SetWorkerOrders(grpc::CallbackServerContext* context,
                                            const v1::SetWorkerOrdersRequest* request,
                                            v1::SetWorkerOrdersResponse* response) override;
  grpc::ServerUnaryReactor* Rebalance(grpc::CallbackServerContext* context,
                                      const v1::RebalanceRequest* request,
                                      v1::RebalanceResponse* response) override;
  grpc::ServerUnaryReactor* Thaw(grpc::CallbackServerContext* context,
                                 const v1::ThawRequest* request,
                                 v1::ThawResponse* response) override;
  grpc::ServerUnaryReactor* PlanPlacement(grpc::CallbackServerContext* context,
                                          const v1::PlanPlacementRequest* request,
                                          v1::PlanPlacementResponse* response) override;
  grpc::ServerUnaryReactor* Scale(grpc::CallbackServerContext* context,
                                  const v1::ScaleRequest* request,
                                  v1::ScaleResponse* response) override;

  // Calls that run and those from now on end with UNAVAILABLE: before the coordinator stops.
  void Close();

 private:
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   const std::function<absl::Status()>& answer);

  Coordinator* const coordinator_;
  const Scaler scaler_;
  FleetWatch watch_;
  std::atomic<bool> closed_{false};
};

}  // namespace expertmesh
