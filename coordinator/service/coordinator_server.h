// coordinator_server.h: a coordinator behind the gRPC API: Generation, Admin and Coordinator.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/coordinator.h"
#include "coordinator/service/admin_service.h"
#include "coordinator/service/coordinator_service.h"
#include "coordinator/service/generation_service.h"
#include "coordinator/service/health.h"
#include "coordinator/text/text_door.h"
#include "rpc/metrics_port.h"
#include "rpc/server.h"

namespace expertmesh {

// Health: the server as a whole is SERVING while it serves; expertmesh.v1.Generation only while
// nothing is missing to serve requests, as seen every half second.
class CoordinatorServer {
 public:
  struct Options {
    RpcServerOptions rpc;
    std::string metrics_listen;  // HOST:PORT of /metrics; empty: none
  };
  // Whether Coordinator.Join is served: where all workers are in this process it is not, and nobody
  // from outside becomes one.
  enum class Workers { kMayJoin, kAreHere };

  // `coordinator` outlives the server. `model` is what text goes through. `scaler` answers
  // Admin.Scale, where workers are here.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(
      Coordinator* coordinator, std::shared_ptr<const TextModel> model, const Options& options,
      Workers workers = Workers::kMayJoin, Scaler scaler = nullptr);
  ~CoordinatorServer();  // Stop()s without grace

  const std::string& address() const { return server_->address(); }
  // Where /metrics is; empty: nowhere.
  std::string metrics_address() const {
    return metrics_port_ == nullptr ? "" : metrics_port_->address();
  }

  // Refuses new requests, gives those that run up to `grace`, ends what is left with UNAVAILABLE,
  // lets go of the workers, and stops coordinator and server. Idempotent.
  void Stop(Duration grace);

 private:
  CoordinatorServer(Coordinator* coordinator, std::shared_ptr<const TextModel> model,
                    Scaler scaler);

  Coordinator* const coordinator_;
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  GenerationMetrics metrics_{registry_.get()};
  TextDoor door_;
  GenerationGrpcService generation_;
  CoordinatorGrpcService control_;
  AdminGrpcService admin_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<HealthWatch> health_;
  std::unique_ptr<MetricsPort> metrics_port_;
  bool stopped_ = false;
};

}  // namespace expertmesh
