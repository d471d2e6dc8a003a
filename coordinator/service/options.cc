#include "coordinator/service/options.h"

#include "rpc/address.h"

namespace expertmesh {

std::optional<int> ReadCoordinatorFlags(int argc, const char* const* argv,
                                        CoordinatorFlags* flags) {
  CLI::App app("Control and front door of an Expertmesh fleet.", "expertmesh-coordinator");
  app.option_defaults()->always_capture_default();
  AddListenFlags(app, &flags->listen);
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
  app.add_option("--served-model-name", flags->model_name,
                 "the model's name for users; that of the folder if not given")
      ->group("Model");
  AddMilliseconds(app, "--drain-ms", &flags->drain, 0, 3'600'000,
                  "after SIGTERM, how long running requests may take to end")
      ->group("Network");
  return ReadFlags(app, argc, argv, [flags] {
    return CheckListenAddress(flags->listen.listen, flags->listen.allow_insecure_listen);
  });
}

}  // namespace expertmesh
