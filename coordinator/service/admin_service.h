// admin_service.h: the operators' API.
#pragma once

#include <atomic>
#include <functional>

#include "coordinator/coordinator.h"
#include "expertmesh/v1/admin.grpc.pb.h"

namespace expertmesh {

// Outlives the server.
class AdminGrpcService final : public v1::Admin::CallbackService {
 public:
  // `list` is Coordinator::List: answers within a turn of membership's thread.
  explicit AdminGrpcService(std::function<FleetListing()> list) : list_(std::move(list)) {}

  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const v1::GetTopologyRequest* request,
                                        v1::GetTopologyResponse* response) override;

  // Calls from now on end with UNAVAILABLE: before the coordinator stops.
  void Close() { closed_ = true; }

 private:
  const std::function<FleetListing()> list_;
  std::atomic<bool> closed_{false};
};

}  // namespace expertmesh
