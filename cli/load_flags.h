// load_flags.h: the flags of `expertmesh load`: how hard to press, with what, and what to report.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/load/report.h"
#include "cli/load/runner.h"

namespace expertmesh {

struct LoadFlags {
  LoadFlags() { run.work.vocabulary = 0; }

  std::string server;
  double rate = 0;
  int concurrency = 0;
  std::string sweep;
  int64_t requests = 0;
  double seconds = 0;
  int64_t warmup = 0;
  int max_in_flight = 1024;
  std::string prompt_tokens = "256", output_tokens = "64";
  RunOptions run;  // as far as its fields are bound to flags; the rest is set by RunsOf
  double timeout = 0;
  std::string cache_salt;
  Slo slo;
  bool json = false, records = false, progress = false;
  std::string plot;
};

// Adds them, in groups, and a check of what does not go together (exit code 2).
void AddLoadFlags(CLI::App& app, LoadFlags* flags);

// One run for each point of the sweep, or the only one. Errors  INVALID_ARGUMENT, by the flag.
absl::StatusOr<std::vector<RunOptions>> RunsOf(const LoadFlags& flags);

// What was asked for, under the flags' names.
nlohmann::ordered_json SettingsToJson(const LoadFlags& flags);

}  // namespace expertmesh
