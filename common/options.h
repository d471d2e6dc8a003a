// options.h: command lines: what every program of ours reads alike.
//
// Each program declares its flags on a CLI::App with its own struct (`<role>/service/options.h`);
// here is the reading itself and the flags that several programs share.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/clock.h"

namespace expertmesh {

inline constexpr int kExitBadFlags = 2;

// Reads the command line into what the app's options are bound to, then asks `check` whether the
// values make sense together; its message names the flag. An exit code, after printing, where the
// program has nothing more to do: 0 after --help and --print-config (on stdout), kExitBadFlags
// after an error (on stderr).
std::optional<int> ReadFlags(CLI::App& app, int argc, const char* const* argv,
                             const std::function<absl::Status()>& check);

// Flags of whatever listens.
struct ListenFlags {
  std::string listen;
  bool allow_insecure_listen = false;
  std::string log_level = "info";
};
void AddListenFlags(CLI::App& app, ListenFlags* flags);

// Flags of both kinds of worker.
struct WorkerFlags {
  std::string name;
  std::string model_folder;
  std::string coordinator;  // address
  std::string advertise;    // empty: what is listened on
  std::string isa = "auto";
  bool widen = false;  // --dtype f32
  int threads = 1;
  Duration drain = std::chrono::seconds(30);  // after SIGTERM
};
void AddWorkerFlags(CLI::App& app, WorkerFlags* flags);

// A flag in milliseconds; `flag` ends in "-ms". The value of `duration` is its default.
CLI::Option* AddMilliseconds(CLI::App& app, const std::string& flag, Duration* duration,
                             int64_t low, int64_t high, const std::string& help);

// A whole number from `low` to `high`.
template <typename T>
CLI::Option* AddNumber(CLI::App& app, const std::string& flag, T* value, T low, T high,
                       const std::string& help) {
  return app.add_option(flag, *value, help)->check(CLI::Range(low, high));
}

}  // namespace expertmesh
