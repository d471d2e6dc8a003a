// stall_events.h: the events of the stall table: what each does to a fleet that serves.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/net.h"

namespace expertmesh::chaos {

struct StallEvent {
  std::string name;                                  // for --events
  std::string text;                                  // for the table
  int expert_workers = 4;                            // to begin with
  bool needs_cables = false;                         // of the network
  std::function<absl::Status(Fleet&)> prepare;       // before anything is measured; none: nothing
  std::function<absl::Status(Fleet&, Net&)> happen;  // returns when it is over
};

const std::vector<StallEvent>& StallEvents();

}  // namespace expertmesh::chaos
