// losses.h: which workers a coordinator took for LOST, by its log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/chaos/schedule.h"

namespace expertmesh::chaos {

struct Loss {
  int64_t at_ms = 0;  // after the schedule's beginning; may be before it
  std::string worker;
  std::string line;  // of the log
};

// `begin_ms`: the schedule's beginning, in milliseconds since 1970. Lines that begin with no time
// are passed over.
std::vector<Loss> ReadLosses(absl::string_view log, int64_t begin_ms);

// Those that no event of the schedule accounts for: neither one of the worker's own nor one of the
// coordinator's, from its beginning until kAftermathMs after its end.
std::vector<Loss> FalseLosses(const std::vector<Loss>& losses, const Schedule& schedule);

}  // namespace expertmesh::chaos
