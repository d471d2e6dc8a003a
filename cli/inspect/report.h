// report.h: an inspection as text, for scripts and for people.
#pragma once

#include <string>

#include "cli/inspect/inspection.h"

namespace expertmesh {

// One JSON object on one line; README.md has the keys.
std::string ToJson(const Inspection& inspection);

// Lines for a terminal.
std::string ToText(const Inspection& inspection);

}  // namespace expertmesh
