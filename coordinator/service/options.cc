#include "coordinator/service/options.h"

#include "common/config_file.h"
#include "common/status.h"
#include "rpc/address.h"
#include "rpc/metrics_port.h"

namespace expertmesh {

void AddServingFlags(CLI::App& app, ServingFlags* flags) {
  AddListenFlags(app, &flags->listen);
  AddMilliseconds(app, "--drain-ms", &flags->drain, 0, 3'600'000,
                  "after SIGTERM, how long running requests may take to end")
      ->group("Network");
  AddMilliseconds(app, "--max-connection-age-ms", &flags->max_connection_age, 0, 86'400'000,
                  "an older connection takes no new calls, so that clients spread anew; 0: none is "
                  "too old")
      ->group("Network");
  app.add_option("--metrics-listen", flags->metrics_listen,
                 "HOST:PORT or [IPv6]:PORT of GET /metrics for Prometheus; none if not given")
      ->group("Network");
  app.add_option("--served-model-name", flags->model_name,
                 "the model's name for users; that of the folder if not given")
      ->group("Model");
}

absl::Status CheckServingFlags(const ServingFlags& flags) {
  const bool insecure = flags.listen.allow_insecure_listen;
  RETURN_IF_ERROR(Annotate(CheckListenAddress(flags.listen.listen, insecure), "--listen"));
  if (flags.metrics_listen.empty()) return absl::OkStatus();
  return Annotate(CheckMetricsAddress(flags.metrics_listen, insecure), "--metrics-listen");
}

CoordinatorServer::Options ServerOptions(const ServingFlags& flags) {
  CoordinatorServer::Options options;
  options.rpc.listen = flags.listen.listen;
  options.rpc.allow_insecure_listen = flags.listen.allow_insecure_listen;
  options.rpc.max_connection_age = flags.max_connection_age;
  options.metrics_listen = flags.metrics_listen;
  return options;
}

std::optional<int> ReadCoordinatorFlags(int argc, const char* const* argv,
                                        CoordinatorFlags* flags) {
  CLI::App app("Control and front door of an Expertmesh fleet.", "expertmesh-coordinator");
  app.option_defaults()->always_capture_default();
  AddConfigFlags(app);
  AddServingFlags(app, &flags->serving);
  AddNumber(app, "--initial-expert-workers", &flags->coordinator.initial_expert_workers, 1, 65536,
            "expert workers over which the first placement is made; it waits for that many")
      ->group("Fleet");
  AddMilliseconds(app, "--lease-ms", &flags->coordinator.lease, 1000, 600'000,
                  "a worker that is silent for so long is LOST")
      ->group("Fleet");
  app.add_option("--model", flags->model_folder,
                 "checkpoint folder, for its tokenizer and chat template; no weights are read. "
                 "Without it prompts are token ids")
      ->check(CLI::ExistingDirectory)
      ->group("Model");
  return ReadFlags(app, argc, argv, [flags] { return CheckServingFlags(flags->serving); });
}

}  // namespace expertmesh
