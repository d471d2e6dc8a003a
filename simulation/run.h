// run.h: one seed, from the start of its cluster to the verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simulation/event_log.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

struct RunResult {
  std::optional<Violation> violation;
  uint64_t events = 0;
  uint64_t digest = 0;  // equal for two runs of one seed
  size_t requests = 0;
  size_t succeeded = 0;
  double virtual_seconds = 0;
  std::vector<std::string> log_tail;  // when the log was on
};

// start -> busy: requests and faults -> all faults end -> whole again -> probes -> nothing is left
RunResult RunSeed(uint64_t seed, EventLog::Mode log = EventLog::Mode::kOff);

// "seed 7: invariant x: what", the end of the log, and the command that shows all of it.
std::string FailureText(uint64_t seed, const RunResult& failed);

}  // namespace expertmesh::simulation
