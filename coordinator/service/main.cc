// expertmesh-coordinator: control and front door.
#include <cstdio>

#include "common/log.h"
#include "common/options.h"
#include "coordinator/service/attention_stub.h"
#include "coordinator/service/coordinator_server.h"
#include "rpc/process.h"

namespace expertmesh {
namespace {

constexpr int kMaxExpertWorkers = 65536;
constexpr Duration kGrace = std::chrono::seconds(5);

int Main(int argc, char** argv) {
  CLI::App app("Control (membership, topology, placement) and front door of a fleet",
               "expertmesh-coordinator");
  CoordinatorOptions options;
  ListenFlags listen;
  listen.listen = "127.0.0.1:50051";
  AddListenFlags(app, &listen);
  AddNumber(app, "--initial-expert-workers", &options.initial_expert_workers, 1, kMaxExpertWorkers,
            "the first placement waits for this many expert workers")
      ->group("Fleet");
  AddMilliseconds(app, "--lease-ms", &options.lease, 100, 3'600'000,
                  "a worker that is silent for longer is LOST")
      ->group("Fleet");
  if (auto code = ReadFlags(app, argc, argv, [] { return absl::OkStatus(); })) return *code;

  StopSignals signals;
  StartLogging("coordinator", listen.log_level);
  Coordinator coordinator(options, GrpcAttentionPorts());
  auto server = CoordinatorServer::Start(
      &coordinator, {.listen = listen.listen, .allow_insecure_listen = listen.allow_insecure_listen});
  if (!server.ok()) {
    LogError("--listen ", listen.listen, ": ", server.status().message());
    return 1;
  }
  std::printf("listening on %s\n", (*server)->address().c_str());
  std::fflush(stdout);
  signals.Wait();
  LogInfo("stopping");
  (*server)->Stop(kGrace);
  return 0;
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) { return expertmesh::Main(argc, argv); }
