// live_text.h: a fleet as it changes, for people: the whole picture for a terminal, or line by line
// what has changed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

// Lines of at most `columns` bytes, at most `lines` of them; what does not fit is counted in the
// last.
std::string LiveScreen(const v1::GetTopologyResponse& fleet, size_t columns, size_t lines);

// Line by line.
class LiveLines {
 public:
  // The lines that are not as they were at the call before; all at the first. How busy a worker is
  // changes at any time and alone makes no line.
  std::string ChangesTo(const v1::GetTopologyResponse& fleet);

 private:
  std::map<std::string, std::string> before_;  // by worker; "" is the fleet
};

}  // namespace expertmesh
