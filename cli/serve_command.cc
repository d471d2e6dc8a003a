// `expertmesh serve`: a whole fleet in this process, behind the real gRPC API.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "attention_worker/service/options.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/embedded/embedded_cluster.h"
#include "common/config_file.h"
#include "common/log.h"
#include "common/options.h"
#include "common/status.h"
#include "coordinator/service/coordinator_server.h"
#include "coordinator/service/options.h"
#include "coordinator/text/checkpoint_text.h"
#include "rpc/process.h"

namespace expertmesh {
namespace {

class ServeCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("serve", "All roles in one process, behind the gRPC API");
    command->option_defaults()->always_capture_default();
    AddConfigFlags(*command);
    AddServingFlags(*command, &serving_);
    AddModelFlag(*command, &model_, "checkpoint folder")->group("Model");
    command->add_option("--dtype", dtype_, "weights as stored, or widened to f32")
        ->check(CLI::IsMember({"stored", "f32"}))
        ->group("Model");
    AddNumber(*command, "--attention-workers", &options_.attention_workers, 1, 64, "how many")
        ->group("Fleet");
    AddNumber(*command, "--expert-workers", &options_.expert_workers, 1, 64, "how many")
        ->group("Fleet");
    AddNumber(*command, "--threads", &threads_, 0, 1024,
              "compute threads of each worker; 0: as many as cores")
        ->group("Compute");
    AddCapacityFlags(*command, options_.attention);
    command->callback([this] {
      const absl::Status status = CheckServingFlags(serving_);
      if (!status.ok()) throw CLI::ValidationError(std::string(status.message()));
    });
    command_ = command;
    return command;
  }

  absl::Status Run() override {
    if (WantsConfigText(*command_)) {
      std::fputs(ConfigText(*command_).c_str(), stdout);
      return absl::OkStatus();
    }
    StopSignals signals;
    StartLogging("serve", serving_.listen.log_level);
    const int cores = std::max(1u, std::thread::hardware_concurrency());
    options_.attention.threads = options_.expert.threads = threads_ > 0 ? threads_ : cores;
    options_.attention.model_folder = options_.expert.model_folder = model_;
    options_.attention.widen = options_.expert.widen = dtype_ == "f32";
    ASSIGN_OR_RETURN(options_.text, OpenTextModel(model_, serving_.model_name));
    ASSIGN_OR_RETURN(auto cluster, EmbeddedCluster::Start(options_));
    const auto scale = [&cluster](int workers) -> absl::StatusOr<Scaled> {
      ASSIGN_OR_RETURN(auto scaled, cluster->ScaleExperts(workers));
      return Scaled{std::move(scaled.started), std::move(scaled.drained)};
    };
    ASSIGN_OR_RETURN(
        auto server,
        CoordinatorServer::Start(&cluster->coordinator(), options_.text, ServerOptions(serving_),
                                 CoordinatorServer::Workers::kAreHere, scale));
    AnnounceListening(server->address());
    cluster->OnExit([&signals] { signals.Wake(); });
    signals.Wait();
    LogInfo("stopping");
    server->Stop(serving_.drain);
    return cluster->ExitStatus();
  }

 private:
  CLI::App* command_ = nullptr;
  ServingFlags serving_;
  EmbeddedOptions options_;
  std::string model_, dtype_ = "stored";
  int threads_ = 0;
};

}  // namespace

std::unique_ptr<CliCommand> MakeServeCommand() { return std::make_unique<ServeCommand>(); }

}  // namespace expertmesh
