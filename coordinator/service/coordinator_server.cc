#include "coordinator/service/coordinator_server.h"

#include <utility>
#include <vector>

#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kLastWords{1};  // for statuses of ended calls to go out

}  // namespace

CoordinatorServer::CoordinatorServer(Coordinator* coordinator,
                                     std::shared_ptr<const TextModel> model, Scaler scaler)
    : coordinator_(coordinator),
      door_({}, std::move(model), coordinator,
            [coordinator] { return coordinator->NewRequestId(); }),
      generation_(
          &door_, [coordinator] { return coordinator->List(); }, &metrics_),
      control_(coordinator),
      admin_(coordinator, std::move(scaler)) {}

CoordinatorServer::~CoordinatorServer() { Stop(Duration::zero()); }

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    Coordinator* coordinator, std::shared_ptr<const TextModel> model, const Options& options,
    Workers workers, Scaler scaler) {
  std::unique_ptr<CoordinatorServer> server(
      new CoordinatorServer(coordinator, std::move(model), std::move(scaler)));
  std::vector<grpc::Service*> services = {&server->generation_, &server->admin_};
  if (workers == Workers::kMayJoin) services.push_back(&server->control_);
  if (!options.metrics_listen.empty()) {
    ASSIGN_OR_RETURN(server->metrics_port_,
                     MetricsPort::Start(options.metrics_listen, options.rpc.allow_insecure_listen,
                                        server->registry_));
  }
  ASSIGN_OR_RETURN(server->server_, RpcServer::Start(options.rpc, services));
  server->health_ =
      std::make_unique<HealthWatch>([coordinator] { return coordinator->List().missing.empty(); },
                                    [rpc = server->server_.get()](bool serving) {
                                      rpc->SetServing(v1::Generation::service_full_name(), serving);
                                    });
  LogInfo("serving on ", server->address());
  if (server->metrics_port_ != nullptr) {
    LogInfo("metrics on http://", server->metrics_port_->address(), "/metrics");
  }
  return server;
}

void CoordinatorServer::Stop(Duration grace) {
  if (stopped_ || server_ == nullptr) return;
  stopped_ = true;
  health_->Stop();
  server_->Drain();
  coordinator_->Drain();
  generation_.WaitIdle(Now() + grace);
  admin_.Close();
  control_.CloseAll(TryAgainLater("the coordinator stops"));
  coordinator_->Stop();
  door_.Stop();
  server_->Stop(kLastWords);
}

}  // namespace expertmesh
