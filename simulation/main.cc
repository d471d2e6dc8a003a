// simulation_run: runs seeds and says what broke.
//
// Exit code: 0 when every invariant held, 1 when one did not, 2 for a bad command line.
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>

#include "common/log.h"
#include "common/options.h"
#include "simulation/run.h"

namespace {

using expertmesh::simulation::EventLog;
using expertmesh::simulation::FailureText;
using expertmesh::simulation::RunResult;
using expertmesh::simulation::RunSeed;

struct Flags {
  uint64_t seed = 1;
  uint64_t count = 1;
  bool verbose = false;
  bool keep_going = false;
  std::string log = "off";
};

std::optional<int> Parse(int argc, char** argv, Flags& flags) {
  CLI::App app("Runs simulated clusters, one for each seed, and says which broke a promise.",
               "simulation_run");
  app.add_option("--seed", flags.seed, "the first seed")->capture_default_str();
  app.add_option("--count", flags.count, "how many seeds, ascending")->capture_default_str();
  app.add_flag("--verbose", flags.verbose, "print every event");
  app.add_flag("--keep-going", flags.keep_going, "go on after a seed that fails");
  app.add_option("--log", flags.log, "level of the nodes' own log lines")->capture_default_str();
  return expertmesh::ReadFlags(app, argc, argv, [] { return absl::OkStatus(); });
}

// Once more, with the log on: the same events, and this time in words.
void Explain(uint64_t seed, const RunResult& failed) {
  const RunResult again = RunSeed(seed, EventLog::Mode::kTail);
  if (again.digest != failed.digest || !again.violation.has_value()) {
    std::printf("seed %llu: the second run differs from the first\n",
                static_cast<unsigned long long>(seed));
  }
  std::printf("%s", FailureText(seed, again.violation.has_value() ? again : failed).c_str());
}

int Run(const Flags& flags) {
  const auto start = std::chrono::steady_clock::now();
  std::map<std::string, uint64_t> broken;
  uint64_t failures = 0, run = 0, events = 0, requests = 0, succeeded = 0;
  double virtual_seconds = 0;
  for (uint64_t seed = flags.seed; seed < flags.seed + flags.count; ++seed) {
    const RunResult result =
        RunSeed(seed, flags.verbose ? EventLog::Mode::kPrint : EventLog::Mode::kOff);
    ++run;
    events += result.events;
    requests += result.requests;
    succeeded += result.succeeded;
    virtual_seconds += result.virtual_seconds;
    if (!result.violation.has_value()) continue;
    ++failures;
    ++broken[result.violation->invariant];
    if (flags.keep_going) {
      std::printf("seed %llu: invariant %s: %s\n", static_cast<unsigned long long>(seed),
                  result.violation->invariant.c_str(), result.violation->what.c_str());
    } else {
      Explain(seed, result);
      break;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf(
      "%llu seeds in %.1f s: %.0f a second; %llu events, %.0f virtual seconds; %llu of %llu "
      "requests succeeded; %llu seeds failed\n",
      static_cast<unsigned long long>(run), took.count(), run / took.count(),
      static_cast<unsigned long long>(events), virtual_seconds,
      static_cast<unsigned long long>(succeeded), static_cast<unsigned long long>(requests),
      static_cast<unsigned long long>(failures));
  for (const auto& [invariant, count] : broken) {
    std::printf("  %s: %llu\n", invariant.c_str(), static_cast<unsigned long long>(count));
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  if (const auto exit_code = Parse(argc, argv, flags)) return *exit_code;
  expertmesh::StartLogging("simulation", flags.log);
  return Run(flags);
}
