// expertmesh-coordinator: control and front door as a program.
#include "common/log.h"
#include "common/status.h"
#include "coordinator/coordinator.h"
#include "coordinator/service/attention_stub.h"
#include "coordinator/service/coordinator_server.h"
#include "coordinator/service/options.h"
#include "coordinator/text/checkpoint_text.h"
#include "rpc/process.h"

namespace expertmesh {
namespace {

absl::Status Run(const CoordinatorFlags& flags, StopSignals& signals) {
  std::shared_ptr<const TextModel> text =
      TokensOnly(flags.serving.model_name.empty() ? "model" : flags.serving.model_name);
  if (!flags.model_folder.empty()) {
    ASSIGN_OR_RETURN(text, OpenTextModel(flags.model_folder, flags.serving.model_name));
  }
  Coordinator coordinator(flags.coordinator, GrpcAttentionPorts());
  ASSIGN_OR_RETURN(auto server, CoordinatorServer::Start(&coordinator, std::move(text),
                                                         ServerOptions(flags.serving)));
  AnnounceListening(server->address());
  signals.Wait();
  LogInfo("stopping");
  server->Stop(flags.serving.drain);
  return absl::OkStatus();
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) {
  using namespace expertmesh;
  CoordinatorFlags flags;
  if (auto exit = ReadCoordinatorFlags(argc, argv, &flags)) return *exit;
  StopSignals signals;
  StartLogging("coordinator", flags.serving.listen.log_level);
  return ExitCode("expertmesh-coordinator", Run(flags, signals));
}
