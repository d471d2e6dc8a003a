// report_table.h: a report for people.
#pragma once

#include <string>
#include <vector>

#include "cli/load/report.h"

namespace expertmesh {

// "8 at once", "2.5 requests/s".
std::string ToString(const LoadLevel& level);

// All of one run.
std::string ReportTable(const LoadReport& report);
// A sweep: a line per load, then what failed.
std::string SweepTable(const std::vector<LoadReport>& reports);

}  // namespace expertmesh
