#include "cli/generator.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "cli/default_model.h"
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

absl::StatusOr<std::unique_ptr<Generator>> OpenEmbedded(const GeneratorFlags& flags,
                                                        const std::string& model) {
  EmbeddedOptions options;
  options.expert_workers = flags.expert_workers;
  const int cores = std::max(1u, std::thread::hardware_concurrency());
  options.attention.threads = options.expert.threads = flags.threads > 0 ? flags.threads : cores;
  options.attention.model_folder = options.expert.model_folder = model;
  options.attention.widen = options.expert.widen = flags.dtype == "f32";
  options.attention.isa = options.expert.isa = flags.isa;
  // The cache of one sequence: several answers wait for one another.
  options.attention.max_context = flags.max_context;
  options.attention.cache_tokens = flags.max_context;
  ASSIGN_OR_RETURN(options.text, OpenTextModel(model, ""));
  ASSIGN_OR_RETURN(auto cluster, EmbeddedCluster::Start(std::move(options)));
  RETURN_IF_ERROR(cluster->WaitUntilWhole(std::chrono::hours(1)));
  return std::make_unique<Embedded>(std::move(cluster));
}

}  // namespace

void AddGeneratorFlags(CLI::App& app, GeneratorFlags* flags) {
  auto* where = app.add_option_group(
      "Where", "--server, or all roles in this process: of --model, by default models/demo");
  CLI::Option* server =
      where->add_option("--server", flags->server, "a coordinator, e.g. 127.0.0.1:50051");
  where->add_option("--model", flags->model, "checkpoint folder");
  where->require_option(0, 1);
  app.add_option("--wait", flags->wait,
                 "with --server: seconds to wait for the fleet to be whole first")
      ->check(CLI::Range(0.0, 1e7))
      ->needs(server)
      ->group("Where");
  const auto here = [&](CLI::Option* option) { option->excludes(server)->group("Where"); };
  here(app.add_option("--dtype", flags->dtype,
                      "without --server: weights as stored, or widened to f32")
           ->check(CLI::IsMember({"stored", "f32"})));
  here(
      app.add_option("--threads", flags->threads, "without --server: compute threads; 0: all cores")
          ->check(CLI::Range(0, 1024)));
  here(app.add_option("--expert-workers", flags->expert_workers, "without --server: how many")
           ->check(CLI::Range(1, 64)));
  here(app.add_option("--max-context", flags->max_context,
                      "without --server: prompt and output tokens together")
           ->check(CLI::Range(1, 1 << 24)));
  here(app.add_option("--isa", flags->isa, "without --server: auto, scalar, avx2 or avx512"));
}

absl::StatusOr<std::unique_ptr<Generator>> OpenGenerator(const GeneratorFlags& flags) {
  if (!flags.server.empty()) {
    auto server = std::make_unique<OnServer>(flags.server);
    RETURN_IF_ERROR(server->Wait(flags.wait));
    return server;
  }
  if (!flags.model.empty()) return OpenEmbedded(flags, flags.model);
  const std::string model = DefaultModel();
  if (!model.empty()) return OpenEmbedded(flags, model);
  return absl::InvalidArgumentError(
      "neither --server nor --model, and the default, models/demo, is not beside this program");
}

}  // namespace expertmesh
