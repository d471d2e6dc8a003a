// expertmesh-attention-worker: an attention worker as a program.
#include <memory>
#include <string>
#include <utility>

#include "attention_worker/attention_worker.h"
#include "attention_worker/service/attention_service.h"
#include "attention_worker/service/options.h"
#include "common/log.h"
#include "common/status.h"
#include "rpc/address.h"
#include "rpc/control_link_client.h"
#include "rpc/process.h"
#include "rpc/server.h"
#include "transport/grpc/grpc_transport.h"

namespace expertmesh {
namespace {

constexpr std::chrono::seconds kLastWords{1};  // for the statuses of ended calls to go out

absl::Status Run(const AttentionWorkerFlags& flags, StopSignals& signals) {
  ASSIGN_OR_RETURN(std::unique_ptr<AttentionWorker> worker, AttentionWorker::Create(flags.worker));
  AttentionGrpcService service(worker.get());
  RpcServerOptions listen;
  listen.listen = flags.listen.listen;
  listen.allow_insecure_listen = flags.listen.allow_insecure_listen;
  ASSIGN_OR_RETURN(std::unique_ptr<RpcServer> server, RpcServer::Start(listen, {&service}));
  ASSIGN_OR_RETURN(std::string address,
                   AdvertisedAddress(server->address(), flags.fleet.advertise));

  ExitReason exit(&signals);
  worker->Start(std::make_unique<GrpcTransport>(worker->endpoint(), GrpcTransportOptions{}),
                std::make_unique<GrpcControlLink>(flags.fleet.coordinator), address,
                [&exit](absl::Status why) { exit.Set(std::move(why)); });
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
  AttentionWorkerFlags flags;
  if (auto exit = ReadAttentionWorkerFlags(argc, argv, &flags)) return *exit;
  StopSignals signals;
  StartLogging("attention-worker " + flags.fleet.name, flags.listen.log_level);
  return ExitCode("expertmesh-attention-worker", Run(flags, signals));
}
