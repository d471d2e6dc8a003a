// expertmesh-attention-worker: sequences and their latent cache, and the model but for the routed
// experts.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "attention_worker/attention_worker.h"
#include "attention_worker/service/attention_service.h"
#include "common/log.h"
#include "common/options.h"
#include "common/status.h"
#include "rpc/control_link_client.h"
#include "rpc/convert_fleet.h"
#include "rpc/process.h"
#include "rpc/server.h"
#include "transport/grpc/grpc_transport.h"

namespace expertmesh {
namespace {

constexpr int kExitOver = 3;  // fenced, or the load failed

void AddFlags(CLI::App& app, AttentionWorkerOptions* options) {
  AddNumber(app, "--max-context", &options->max_context, 1, 1 << 24,
            "prompt and output tokens of one sequence; at most the model's")
      ->group("Capacity");
  AddNumber<int64_t>(app, "--cache-tokens", &options->cache_tokens, 1, int64_t{1} << 36,
                     "latent cache: tokens of all sequences together")
      ->group("Capacity");
  AddNumber(app, "--max-sequences", &options->max_sequences, 1, 1 << 16, "sequences that run at once")
      ->group("Capacity");
  AddNumber(app, "--max-waiting", &options->max_waiting, 1, 1 << 20,
            "requests that wait for a place; more are refused")
      ->group("Capacity");
  AddNumber(app, "--max-step-rows", &options->max_step_rows, 1, 1 << 14,
            "rows of one step: decode rows and prefill rows together")
      ->group("Batching");
  AddNumber(app, "--prefill-chunk", &options->prefill_chunk, 1, 1 << 14,
            "prompt rows of one sequence in one step; every chunk gives the same bits")
      ->group("Batching");
  AddMilliseconds(app, "--liveness-timeout-ms", &options->liveness.lost_after, 100, 600'000,
                  "an expert worker that is silent for so long while it owes an answer is lost")
      ->group("Fleet");
}

int Run(const WorkerFlags& flags, const ListenFlags& listen, AttentionWorkerOptions options,
        StopSignals& signals) {
  auto worker = AttentionWorker::Create(std::move(options));
  if (!worker.ok()) {
    LogError(worker.status().message());
    return 1;
  }
  AttentionGrpcService service(worker->get());
  auto server = RpcServer::Start(
      {.listen = listen.listen, .allow_insecure_listen = listen.allow_insecure_listen}, {&service});
  if (!server.ok()) {
    LogError("--listen ", listen.listen, ": ", server.status().message());
    return 1;
  }
  std::printf("listening on %s\n", (*server)->address().c_str());
  std::fflush(stdout);
  std::atomic<bool> over{false};
  const std::string address = flags.advertise.empty() ? (*server)->address() : flags.advertise;
  (*worker)->Start(
      std::make_unique<GrpcTransport>((*worker)->endpoint(), GrpcTransportOptions()),
      std::make_unique<GrpcControlLink>(flags.coordinator), address, [&](absl::Status why) {
        LogError("this worker ends: ", why.message());
        over = true;
        signals.Wake();
      });
  signals.Wait();
  LogInfo("stopping");
  (*server)->SetNotServing();
  (*worker)->Stop();
  (*server)->Stop(std::chrono::seconds(1));
  return over ? kExitOver : 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Sequences, their latent cache, and the model but for the routed experts",
               "expertmesh-attention-worker");
  WorkerFlags flags;
  ListenFlags listen;
  listen.listen = "127.0.0.1:0";
  AttentionWorkerOptions options;
  AddWorkerFlags(app, &flags);
  AddListenFlags(app, &listen);
  AddFlags(app, &options);
  if (auto code = ReadFlags(app, argc, argv, [&] {
        return Annotate(CheckWorkerName(flags.name), "--name");
      })) {
    return *code;
  }
  StopSignals signals;
  StartLogging(absl::StrCat("attention-worker ", flags.name), listen.log_level);
  options.name = flags.name;
  options.model_folder = flags.model_folder;
  options.widen = flags.widen;
  options.isa = flags.isa;
  options.threads = flags.threads;
  options.liveness.ping_after = std::min(options.liveness.ping_after, options.liveness.lost_after / 4);
  return Run(flags, listen, std::move(options), signals);
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) { return expertmesh::Main(argc, argv); }
