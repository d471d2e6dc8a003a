// plot.h: which charts a load run gives.
#pragma once

#include <string>
#include <vector>

#include "cli/load/chart.h"
#include "cli/load/report.h"

namespace expertmesh {

// A sweep: p50 and p99 of TTFT, ITL and E2E against the load, and the throughput below. Loads at
// which nothing succeeded have no points.
Chart SweepChart(const std::vector<LoadReport>& reports, const std::string& subtitle);

// One run: which share of TTFT, ITL and E2E is at most how long.
Chart DistributionChart(const RunResult& run, const std::string& subtitle);

}  // namespace expertmesh
