#include "cli/load/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace expertmesh {

double Percentile(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(std::floor(position));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

Summary Summarize(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  Summary summary;
  summary.count = static_cast<int64_t>(values.size());
  summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / summary.count;
  summary.p50 = Percentile(values, 0.50);
  summary.p90 = Percentile(values, 0.90);
  summary.p95 = Percentile(values, 0.95);
  summary.p99 = Percentile(values, 0.99);
  summary.max = values.back();
  return summary;
}

}  // namespace expertmesh
