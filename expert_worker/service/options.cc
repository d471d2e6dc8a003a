#include "expert_worker/service/options.h"

#include "common/config_file.h"
#include "rpc/worker_flags.h"

namespace expertmesh {

std::optional<int> ReadExpertWorkerFlags(int argc, const char* const* argv,
                                         ExpertWorkerFlags* flags) {
  ExpertWorkerOptions& worker = flags->worker;
  CLI::App app("Holds a share of the routed experts, and answers rows for them.",
               "expertmesh-expert-worker");
  app.option_defaults()->always_capture_default();
  AddConfigFlags(app);
  AddWorkerFlags(app, &flags->fleet);
  AddListenFlags(app, &flags->listen);
  AddNumber<uint64_t>(app, "--memory-bytes", &worker.memory_bytes, 0, uint64_t{1} << 50,
                      "memory for weights; 0: what the machine has")
      ->group("Capacity");
  AddNumber(app, "--max-pass-rows", &worker.max_pass_rows, 1, 16384,
            "rows of one pass; any value gives the same bits")
      ->group("Capacity");
  if (auto exit = ReadFlags(app, argc, argv,
                            [&] { return CheckWorkerFlags(flags->fleet, flags->listen); })) {
    return exit;
  }
  worker.name = flags->fleet.name;
  worker.model_folder = flags->fleet.model_folder;
  worker.widen = flags->fleet.widen;
  worker.isa = flags->fleet.isa;
  worker.threads = flags->fleet.threads;
  return std::nullopt;
}

}  // namespace expertmesh
