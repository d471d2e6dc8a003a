// expertmesh-expert-worker: a shard of routed experts.
#include <atomic>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/options.h"
#include "common/status.h"
#include "expert_worker/expert_worker.h"
#include "rpc/control_link_client.h"
#include "rpc/convert_fleet.h"
#include "rpc/process.h"
#include "rpc/server.h"
#include "transport/grpc/grpc_transport.h"

namespace expertmesh {
namespace {

constexpr int kExitOver = 3;  // fenced, or the load failed
constexpr int kMaxPassRows = 1 << 16;

int Run(const WorkerFlags& flags, const ListenFlags& listen, ExpertWorkerOptions options,
        StopSignals& signals) {
  auto worker = ExpertWorker::Create(std::move(options));
  if (!worker.ok()) {
    LogError(worker.status().message());
    return 1;
  }
  auto transport = std::make_unique<GrpcTransport>((*worker)->endpoint(), GrpcTransportOptions());
  grpc::Service* service = transport->service();
  auto server = RpcServer::Start({.listen = listen.listen,
                                  .allow_insecure_listen = listen.allow_insecure_listen,
                                  .max_message_bytes = kMaxGrpcMessageBytes},
                                 {service});
  if (!server.ok()) {
    LogError("--listen ", listen.listen, ": ", server.status().message());
    return 1;
  }
  std::printf("listening on %s\n", (*server)->address().c_str());
  std::fflush(stdout);
  std::atomic<bool> over{false};
  const std::string address = flags.advertise.empty() ? (*server)->address() : flags.advertise;
  (*worker)->Start(std::move(transport), std::make_unique<GrpcControlLink>(flags.coordinator),
                   address, [&](absl::Status why) {
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
  CLI::App app("A shard of routed experts", "expertmesh-expert-worker");
  WorkerFlags flags;
  ListenFlags listen;
  listen.listen = "127.0.0.1:0";
  ExpertWorkerOptions options;
  AddWorkerFlags(app, &flags);
  AddListenFlags(app, &listen);
  AddNumber(app, "--max-pass-rows", &options.max_pass_rows, 1, kMaxPassRows,
            "most rows of one pass; every cut gives the same bits")
      ->group("Compute");
  app.add_option("--memory-bytes", options.memory_bytes,
                 "memory for weights; 0: what the machine has")
      ->group("Compute");
  if (auto code = ReadFlags(app, argc, argv, [&] {
        return Annotate(CheckWorkerName(flags.name), "--name");
      })) {
    return *code;
  }
  StopSignals signals;
  StartLogging(absl::StrCat("expert-worker ", flags.name), listen.log_level);
  options.name = flags.name;
  options.model_folder = flags.model_folder;
  options.widen = flags.widen;
  options.isa = flags.isa;
  options.threads = flags.threads;
  return Run(flags, listen, std::move(options), signals);
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) { return expertmesh::Main(argc, argv); }
