#include "cli/load/plot.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/load/report_table.h"

namespace expertmesh {
namespace {

constexpr char kTtft[] = "#1f77b4", kItl[] = "#2c8a2c", kE2e[] = "#c8382a", kTokens[] = "#6b3fa0";
constexpr int kShares = 200;  // points of a distribution's curve
constexpr int kThroughputHeight = 200;

const Axis kPercentAxis{0, 100, false, {0, 25, 50, 75, 90, 99}};

std::vector<double> ValuesOf(const std::vector<Series>& series, bool x) {
  std::vector<double> values;
  for (const Series& each : series) {
    for (const auto& point : each.points) values.push_back(x ? point.first : point.second);
  }
  return values;
}

void AddLatency(const char* name, const char* color, Summary LoadReport::*of,
                const std::vector<LoadReport>& reports, std::vector<Series>& series) {
  Series p50{absl::StrCat(name, " p50"), color}, p99{absl::StrCat(name, " p99"), color, true};
  for (const LoadReport& report : reports) {
    const Summary& summary = report.*of;
    if (summary.count == 0) continue;
    p50.points.emplace_back(report.level.value, summary.p50);
    p99.points.emplace_back(report.level.value, summary.p99);
  }
  series.push_back(std::move(p50));
  series.push_back(std::move(p99));
}

Series Distribution(const char* name, const char* color, std::vector<double> values) {
  Series series{name, color, false, false};
  if (values.empty()) return series;
  std::sort(values.begin(), values.end());
  for (int i = 0; i <= kShares; ++i) {
    const double share = static_cast<double>(i) / kShares;
    series.points.emplace_back(Percentile(values, share), 100 * share);
  }
  return series;
}

}  // namespace

Chart SweepChart(const std::vector<LoadReport>& reports, const std::string& subtitle) {
  std::vector<double> loads;
  Series tokens{"output tokens/s", kTokens};
  for (const LoadReport& report : reports) {
    loads.push_back(report.level.value);
    tokens.points.emplace_back(report.level.value, report.PerSecond(report.output_tokens));
  }
  const bool open = !reports.empty() && reports.front().level.open;
  const std::string label = open ? "arrivals (requests per second)" : "concurrency (requests)";
  Panel latency{"Latency", label, "latency (ms)", AxisAt(loads)};
  AddLatency("TTFT", kTtft, &LoadReport::ttft_ms, reports, latency.series);
  AddLatency("ITL", kItl, &LoadReport::itl_ms, reports, latency.series);
  AddLatency("E2E", kE2e, &LoadReport::e2e_ms, reports, latency.series);
  latency.y = AxisOver(ValuesOf(latency.series, false));
  Panel throughput{"Throughput", label, "output tokens per second", AxisAt(loads)};
  throughput.height = kThroughputHeight;
  throughput.series.push_back(std::move(tokens));
  throughput.y = AxisOver(ValuesOf(throughput.series, false));
  return {"Latency and throughput against the load",
          subtitle,
          {std::move(latency), std::move(throughput)}};
}

Chart DistributionChart(const RunResult& run, const std::string& subtitle) {
  Latencies latencies = LatenciesOf(run);
  Panel panel{absl::StrCat("Latency at ", ToString(run.level)), "latency (ms)", "at or below (%)"};
  panel.y = kPercentAxis;
  panel.series = {Distribution("TTFT", kTtft, std::move(latencies.ttft_ms)),
                  Distribution("ITL", kItl, std::move(latencies.itl_ms)),
                  Distribution("E2E", kE2e, std::move(latencies.e2e_ms))};
  panel.x = AxisOver(ValuesOf(panel.series, true));
  return {"Distribution of latencies", subtitle, {std::move(panel)}};
}

}  // namespace expertmesh
