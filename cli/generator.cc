#include "cli/generator.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "cli/embedded/embedded_cluster.h"
#include "client/client.h"
#include "common/status.h"
#include "coordinator/text/checkpoint_text.h"

namespace expertmesh {
namespace {

class OnServer final : public Generator {
 public:
  explicit OnServer(const std::string& address) : client_(address) {}
  absl::Status Wait(double seconds) {
    if (seconds <= 0) return absl::OkStatus();
    return client_.WaitUntilWhole(std::chrono::milliseconds(static_cast<int64_t>(seconds * 1e3)));
  }
  absl::Status Generate(const UserRequest& request,
                        const std::function<void(const Delta&)>& on_delta) override {
    return client_.Generate(request, on_delta);
  }
  void Interrupt() override { client_.CancelRunning(); }

 private:
  Client client_;
};

class Embedded final : public Generator {
 public:
  explicit Embedded(std::unique_ptr<EmbeddedCluster> cluster) : cluster_(std::move(cluster)) {}
  absl::Status Generate(const UserRequest& request,
                        const std::function<void(const Delta&)>& on_delta) override {
    return cluster_->Generate(request, on_delta);
  }
  void Interrupt() override { cluster_->CancelRunning(); }

 private:
  std::unique_ptr<EmbeddedCluster> cluster_;
};

absl::StatusOr<std::unique_ptr<Generator>> OpenEmbedded(const GeneratorFlags& flags) {
  EmbeddedOptions options;
  options.expert_workers = flags.expert_workers;
  const int cores = std::max(1u, std::thread::hardware_concurrency());
  options.attention.threads = options.expert.threads = flags.threads > 0 ? flags.threads : cores;
  options.attention.model_folder = options.expert.model_folder = flags.model;
  options.attention.widen = options.expert.widen = flags.dtype == "f32";
  options.attention.isa = options.expert.isa = flags.isa;
  // The cache of one sequence: several answers wait for one another.
  options.attention.max_context = flags.max_context;
  options.attention.cache_tokens = flags.max_context;
  ASSIGN_OR_RETURN(options.text, OpenTextModel(flags.model, ""));
  ASSIGN_OR_RETURN(auto cluster, EmbeddedCluster::Start(std::move(options)));
  RETURN_IF_ERROR(cluster->WaitUntilWhole(std::chrono::hours(1)));
  return std::make_unique<Embedded>(std::move(cluster));
}

}  // namespace

void AddGeneratorFlags(CLI::App& app, GeneratorFlags* flags) {
  auto* where = app.add_option_group("Where", "exactly one of --server and --model");
  CLI::Option* server =
      where->add_option("--server", flags->server, "a coordinator, e.g. 127.0.0.1:50051");
  CLI::Option* model =
      where->add_option("--model", flags->model, "checkpoint folder: all roles in this process");
  where->require_option(1);
  const auto with = [&](CLI::Option* option, CLI::Option* needed) {
    option->needs(needed)->group("Where");
  };
  with(app.add_option("--wait", flags->wait,
                      "with --server: seconds to wait for the fleet to be whole first")
           ->check(CLI::Range(0.0, 1e7)),
       server);
  with(app.add_option("--dtype", flags->dtype, "with --model: weights as stored, or widened to f32")
           ->check(CLI::IsMember({"stored", "f32"})),
       model);
  with(app.add_option("--threads", flags->threads, "with --model: compute threads; 0: all cores")
           ->check(CLI::Range(0, 1024)),
       model);
  with(app.add_option("--expert-workers", flags->expert_workers, "with --model: how many")
           ->check(CLI::Range(1, 64)),
       model);
  with(app.add_option("--max-context", flags->max_context,
                      "with --model: prompt and output tokens together")
           ->check(CLI::Range(1, 1 << 24)),
       model);
  with(app.add_option("--isa", flags->isa, "with --model: auto, scalar, avx2 or avx512"), model);
}

absl::StatusOr<std::unique_ptr<Generator>> OpenGenerator(const GeneratorFlags& flags) {
  if (!flags.model.empty()) return OpenEmbedded(flags);
  auto server = std::make_unique<OnServer>(flags.server);
  RETURN_IF_ERROR(server->Wait(flags.wait));
  return server;
}

}  // namespace expertmesh
