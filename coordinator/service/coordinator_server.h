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
#include "rpc/server.h"

namespace expertmesh {

// Health: the server as a whole is SERVING while it serves; expertmesh.v1.Generation only while
// nothing is missing to serve requests, as seen every half second.
class CoordinatorServer {
 public:
  // Whether Coordinator.Join is served: where all workers are in this process it is not, and nobody
  // from outside becomes one.
  enum class Workers { kMayJoin, kAreHere };

  // `coordinator` outlives the server. `model` is what text goes through.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(
      Coordinator* coordinator, std::shared_ptr<const TextModel> model,
      const RpcServerOptions& options, Workers workers = Workers::kMayJoin);
  ~CoordinatorServer();  // Stop()s without grace

  const std::string& address() const { return server_->address(); }

  // Refuses new requests, gives those that run up to `grace`, ends what is left with UNAVAILABLE,
  // lets go of the workers, and stops coordinator and server. Idempotent.
  void Stop(Duration grace);

 private:
  CoordinatorServer(Coordinator* coordinator, std::shared_ptr<const TextModel> model);

  Coordinator* const coordinator_;
  TextDoor door_;
  GenerationGrpcService generation_;
  CoordinatorGrpcService control_;
  AdminGrpcService admin_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<HealthWatch> health_;
  bool stopped_ = false;
};

}  // namespace expertmesh
