#include "attention_worker/service/options.h"

#include <algorithm>

#include "common/config_file.h"
#include "rpc/worker_flags.h"

namespace expertmesh {

void AddCapacityFlags(CLI::App& app, AttentionWorkerOptions& worker) {
  AddNumber(app, "--max-context", &worker.max_context, 1, 1 << 24,
            "prompt and output tokens of one sequence; at most what the model has")
      ->group("Capacity");
  AddNumber<int64_t>(app, "--cache-tokens", &worker.cache_tokens, 1, int64_t{1} << 36,
                     "latent cache, in tokens of all sequences together")
      ->group("Capacity");
  AddNumber(app, "--max-step-rows", &worker.max_step_rows, 1, 16384,
            "rows of one step: decode and prefill together")
      ->group("Capacity");
  AddNumber(app, "--prefill-chunk", &worker.prefill_chunk, 1, 16384,
            "prompt rows of one sequence in one step; any value gives the same bits")
      ->group("Capacity");
  AddNumber(app, "--max-sequences", &worker.max_sequences, 1, 16384, "sequences that run at once")
      ->group("Capacity");
  AddMilliseconds(app, "--coverage-wait-ms", &worker.coverage_wait, 0, 86'400'000,
                  "how long a request waits for experts that no worker holds")
      ->group("Capacity");
  AddMilliseconds(app, "--orphan-grace-ms", &worker.orphan_grace, 0, 86'400'000,
                  "how long an answer is kept when the call that it was for breaks, if the request "
                  "asks for that; 0: not at all")
      ->group("Capacity");
  AddNumber(app, "--max-waiting", &worker.max_waiting, 0, 1 << 20,
            "requests that wait, beyond the --max-sequences that run; more are refused")
      ->group("Capacity");
}

std::optional<int> ReadAttentionWorkerFlags(int argc, const char* const* argv,
                                            AttentionWorkerFlags* flags) {
  AttentionWorkerOptions& worker = flags->worker;
  CLI::App app("Holds sequences and their latent cache, and runs the model but for its experts.",
               "expertmesh-attention-worker");
  app.option_defaults()->always_capture_default();
  AddConfigFlags(app);
  AddWorkerFlags(app, &flags->fleet);
  AddListenFlags(app, &flags->listen);
  AddCapacityFlags(app, worker);
  AddMilliseconds(app, "--liveness-timeout-ms", &worker.liveness.lost_after, 50, 600'000,
                  "an expert worker that is silent for so long while it owes an answer is lost")
      ->group("Fleet");
  AddMilliseconds(app, "--hedge-after-ms", &worker.hedge_after, 0, 600'000,
                  "an answer that takes longer, and twice the usual time, is asked of another "
                  "replica, too; 0: never")
      ->group("Fleet");
  if (auto exit = ReadFlags(app, argc, argv,
                            [&] { return CheckWorkerFlags(flags->fleet, flags->listen); })) {
    return exit;
  }
  worker.name = flags->fleet.name;
  worker.model_folder = flags->fleet.model_folder;
  worker.widen = flags->fleet.widen;
  worker.isa = flags->fleet.isa;
  worker.threads = flags->fleet.threads;
  // A peer is asked a few times before it is given up.
  worker.liveness.ping_after = std::min(worker.liveness.ping_after, worker.liveness.lost_after / 4);
  return std::nullopt;
}

}  // namespace expertmesh
