#include "common/options.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <thread>

#include "common/config_file.h"

namespace expertmesh {
namespace {

constexpr int kMaxThreads = 1024;

int BadFlags(const CLI::App& app, const std::string& why) {
  std::fprintf(stderr, "%s: %s\nTry %s --help.\n", app.get_name().c_str(), why.c_str(),
               app.get_name().c_str());
  return kExitBadFlags;
}

}  // namespace

std::optional<int> ReadFlags(CLI::App& app, int argc, const char* const* argv,
                             const std::function<absl::Status()>& check) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    return BadFlags(app, error.what());
  }
  if (absl::Status status = check(); !status.ok()) {
    return BadFlags(app, std::string(status.message()));
  }
  if (WantsConfigText(app)) {
    std::fputs(ConfigText(app).c_str(), stdout);
    return 0;
  }
  return std::nullopt;
}

void AddListenFlags(CLI::App& app, ListenFlags* flags) {
  app.add_option("--listen", flags->listen,
                 "HOST:PORT, [IPv6]:PORT or unix:PATH to serve on; port 0 takes any free one. "
                 "Anything but loopback needs --allow-insecure-listen")
      ->group("Network");
  app.add_flag("--allow-insecure-listen", flags->allow_insecure_listen,
               "listen in plain text where other machines can reach it")
      ->group("Network");
  app.add_option("--log-level", flags->log_level, "what to log on stderr")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->group("Logging");
}

void AddWorkerFlags(CLI::App& app, WorkerFlags* flags) {
  flags->threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  app.add_option(
         "--name", flags->name,
         "this worker's name, unique in the fleet; a newer life of a name replaces the older")
      ->required()
      ->group("Fleet");
  app.add_option("--coordinator", flags->coordinator, "HOST:PORT of the coordinator")
      ->required()
      ->group("Fleet");
  app.add_option("--advertise", flags->advertise,
                 "HOST:PORT where others dial this worker; default: what --listen bound")
      ->group("Network");
  app.add_option("--model", flags->model_folder,
                 "folder of the checkpoint: config.json and safetensors, as published")
      ->required()
      ->check(CLI::ExistingDirectory)
      ->group("Model");
  app.add_option_function<std::string>(
         "--dtype", [flags](const std::string& dtype) { flags->widen = dtype == "f32"; },
         "how weights are held: as stored, or widened to f32")
      ->check(CLI::IsMember({"stored", "f32"}))
      ->default_str("stored")
      ->group("Model");
  app.add_option("--isa", flags->isa, "instruction set of the kernels; all give the same bits")
      ->check(CLI::IsMember({"auto", "scalar", "avx2", "avx512"}))
      ->group("Compute");
  AddNumber(app, "--threads", &flags->threads, 1, kMaxThreads, "compute threads")->group("Compute");
  AddMilliseconds(app, "--drain-ms", &flags->drain, 0, 86'400'000,
                  "how long SIGTERM lets the fleet relieve this worker of what it has; a second "
                  "signal ends it at once")
      ->group("Fleet");
}

CLI::Option* AddMilliseconds(CLI::App& app, const std::string& flag, Duration* duration,
                             int64_t low, int64_t high, const std::string& help) {
  const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(*duration).count();
  return app
      .add_option_function<int64_t>(
          flag, [duration](const int64_t& ms) { *duration = std::chrono::milliseconds(ms); }, help)
      ->check(CLI::Range(low, high))
      ->default_str(std::to_string(count));
}

}  // namespace expertmesh
