// world.h: what every part of one run shares: time, chance, the log, and the verdict.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "simulation/event_log.h"
#include "simulation/event_queue.h"
#include "simulation/random.h"

namespace expertmesh::simulation {

struct Violation {
  std::string invariant;
  std::string what;
};

struct World {
  World(uint64_t seed, EventLog::Mode log_mode)
      : log(log_mode),
        network_chance(Random(seed).Fork(1)),
        process_chance(Random(seed).Fork(2)),
        workload_chance(Random(seed).Fork(3)) {}

  // The first one counts; the run ends after the event that brought it.
  void Violate(absl::string_view invariant, std::string what) {
    if (!violation.has_value()) violation = {std::string(invariant), std::move(what)};
  }
  template <typename... Parts>
  void Log(const std::string& who, const Parts&... parts) {
    if (log.on()) log.Add(events.now(), who, absl::StrCat(parts...));
  }

  EventQueue events;
  EventLog log;
  // One source per concern, so that a fault more or less does not change the requests.
  Random network_chance;
  Random process_chance;
  Random workload_chance;
  // Faults are part of the plan: failures may come of them, and of a cluster that is not there yet.
  bool may_fail = false;
  bool clock_jumped = false;
  std::optional<Violation> violation;
};

}  // namespace expertmesh::simulation
