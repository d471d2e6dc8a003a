// report_json.h: a report for scripts. The keys are told in README.md.
#pragma once

#include <nlohmann/json.hpp>

#include "cli/load/report.h"

namespace expertmesh {

nlohmann::ordered_json ToJson(const LoadReport& report);

// One entry per request, in the order in which they ended.
nlohmann::ordered_json RecordsToJson(const RunResult& run);

}  // namespace expertmesh
