// `expertmesh serve`: a whole fleet in this process, behind the real gRPC API.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "cli/command.h"
#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"
#include "common/options.h"
#include "common/status.h"
#include "coordinator/service/coordinator_server.h"
#include "coordinator/text/checkpoint_text.h"
#include "rpc/process.h"

namespace expertmesh {
namespace {

class ServeCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("serve", "All roles in one process, behind the gRPC API");
    listen_.listen = "127.0.0.1:50051";
    AddListenFlags(*command, &listen_);
    command->add_option("--model", model_, "checkpoint folder")
        ->required()
        ->check(CLI::ExistingDirectory);
    command->add_option("--served-model-name", model_name_,
                        "the model's name for users; that of the folder if not given");
    command->add_option("--dtype", dtype_, "weights as stored, or widened to f32")
        ->check(CLI::IsMember({"stored", "f32"}));
    AddNumber(*command, "--attention-workers", &options_.attention_workers, 1, 64, "how many");
    AddNumber(*command, "--expert-workers", &options_.expert_workers, 1, 64, "how many");
    AddNumber(*command, "--threads", &threads_, 0, 1024, "compute threads of each; 0: all cores");
    AddNumber(*command, "--max-context", &options_.attention.max_context, 1, 1 << 24,
              "prompt and output tokens of one sequence");
    AddNumber<int64_t>(*command, "--cache-tokens", &options_.attention.cache_tokens, 1,
                       int64_t{1} << 36, "latent cache of each attention worker, in tokens");
    AddNumber(*command, "--prefill-chunk", &options_.attention.prefill_chunk, 1, 1 << 14,
              "prompt rows of one sequence in one step");
    return command;
  }

  absl::Status Run() override {
    StopSignals signals;
    StartLogging("serve", listen_.log_level);
    const int cores = std::max(1u, std::thread::hardware_concurrency());
    options_.attention.threads = options_.expert.threads = threads_ > 0 ? threads_ : cores;
    options_.attention.model_folder = options_.expert.model_folder = model_;
    options_.attention.widen = options_.expert.widen = dtype_ == "f32";
    ASSIGN_OR_RETURN(options_.text, OpenTextModel(model_, model_name_));
    ASSIGN_OR_RETURN(auto cluster, EmbeddedCluster::Start(options_));
    ASSIGN_OR_RETURN(auto server, CoordinatorServer::Start(
                                      &cluster->coordinator(), options_.text,
                                      {.listen = listen_.listen,
                                       .allow_insecure_listen = listen_.allow_insecure_listen},
                                      CoordinatorServer::Workers::kAreHere));
    std::printf("listening on %s\n", server->address().c_str());
    std::fflush(stdout);
    cluster->OnExit([&signals] { signals.Wake(); });
    signals.Wait();
    LogInfo("stopping");
    server->Stop(std::chrono::seconds(5));
    return cluster->ExitStatus();
  }

 private:
  ListenFlags listen_;
  EmbeddedOptions options_;
  std::string model_, model_name_, dtype_ = "stored";
  int threads_ = 0;
};

}  // namespace

std::unique_ptr<CliCommand> MakeServeCommand() { return std::make_unique<ServeCommand>(); }

}  // namespace expertmesh
