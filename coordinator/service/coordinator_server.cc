#include "coordinator/service/coordinator_server.h"

#include <utility>
#include <vector>

#include "common/status.h"
#include "coordinator/service/listing.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kLastWords{1};  // for statuses of ended calls to go out

}  // namespace

CoordinatorServer::CoordinatorServer(Coordinator* coordinator,
                                     std::shared_ptr<const TextModel> model)
    : coordinator_(coordinator),
      door_({}, std::move(model), coordinator,
            [coordinator] { return coordinator->NewRequestId(); }),
      generation_(&door_, [coordinator] { return coordinator->List(); }),
      control_(coordinator),
      admin_([coordinator] { return coordinator->List(); }) {}

CoordinatorServer::~CoordinatorServer() { Stop(Duration::zero()); }

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    Coordinator* coordinator, std::shared_ptr<const TextModel> model,
    const RpcServerOptions& options, Workers workers) {
  std::unique_ptr<CoordinatorServer> server(new CoordinatorServer(coordinator, std::move(model)));
  std::vector<grpc::Service*> services = {&server->generation_, &server->admin_};
  if (workers == Workers::kMayJoin) services.push_back(&server->control_);
  ASSIGN_OR_RETURN(server->server_, RpcServer::Start(options, services));
  server->health_ =
      std::make_unique<HealthWatch>([coordinator] { return coordinator->List().missing.empty(); },
                                    [rpc = server->server_.get()](bool serving) {
                                      rpc->SetServing(v1::Generation::service_full_name(), serving);
                                    });
  return server;
}

void CoordinatorServer::Stop(Duration grace) {
  if (stopped_ || server_ == nullptr) return;
  stopped_ = true;
  health_->Stop();
  server_->SetNotServing();
  coordinator_->Drain();
  generation_.WaitIdle(Now() + grace);
  admin_.Close();
  control_.CloseAll(TryAgainLater("the coordinator stops"));
  coordinator_->Stop();
  door_.Stop();
  server_->Stop(kLastWords);
}

}  // namespace expertmesh
