// expertmesh-expert-worker: an expert worker as a program.
#include <memory>
#include <string>
#include <utility>

#include "common/log.h"
#include "common/status.h"
#include "expert_worker/expert_worker.h"
#include "expert_worker/service/options.h"
#include "rpc/address.h"
#include "rpc/control_link_client.h"
#include "rpc/process.h"
#include "rpc/server.h"
#include "transport/grpc/grpc_transport.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kLastWords{1};  // for the statuses of ended calls to go out

absl::Status Run(const ExpertWorkerFlags& flags, StopSignals& signals) {
  ASSIGN_OR_RETURN(std::unique_ptr<ExpertWorker> worker, ExpertWorker::Create(flags.worker));
  auto transport = std::make_unique<GrpcTransport>(worker->endpoint(), GrpcTransportOptions{});
  RpcServerOptions listen;
  listen.listen = flags.listen.listen;
  listen.allow_insecure_listen = flags.listen.allow_insecure_listen;
  listen.configure = GrpcTransport::Configure;
  // The worker, which owns the transport and its service from Start on, outlives the server.
  ASSIGN_OR_RETURN(std::unique_ptr<RpcServer> server,
                   RpcServer::Start(listen, {transport->service()}));
  ASSIGN_OR_RETURN(std::string address,
                   AdvertisedAddress(server->address(), flags.fleet.advertise));

  ExitReason exit(&signals);
  worker->Start(std::move(transport), std::make_unique<GrpcControlLink>(flags.fleet.coordinator),
                address, [&exit](absl::Status why) { exit.Set(std::move(why)); });
  LogInfo("serving on ", server->address(), ", known as ", address);
  AnnounceListening(server->address());
  if (signals.Wait().has_value() && flags.fleet.drain > Duration::zero()) {
    LogInfo("draining");
    worker->Drain();
    signals.Wait(flags.fleet.drain);
  }
  LogInfo("stopping");
  server->SetNotServing();
  worker->Stop();
  server->Stop(kLastWords);
  return exit.Get();
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) {
  using namespace expertmesh;
  ExpertWorkerFlags flags;
  if (auto exit = ReadExpertWorkerFlags(argc, argv, &flags)) return *exit;
  StopSignals signals;
  StartLogging("expert-worker " + flags.fleet.name, flags.listen.log_level);
  return ExitCode("expertmesh-expert-worker", Run(flags, signals));
}
