#include "coordinator/placement/replicas.h"

#include <queue>
#include <utility>

namespace expertmesh {

std::vector<int32_t> CountReplicas(absl::Span<const double> loads, const ReplicaLimits& limits) {
  std::vector<int32_t> counts(loads.size(), 1);
  int64_t left = limits.slots - static_cast<int64_t>(loads.size());
  if (limits.favourite >= 0 && left > 0 && limits.workers > 1) {
    ++counts[limits.favourite];
    --left;
  }
  std::priority_queue<std::pair<double, int64_t>> hottest;  // load per replica, -expert
  for (size_t e = 0; e < loads.size(); ++e)
    hottest.emplace(loads[e] / counts[e], -static_cast<int64_t>(e));
  while (left > 0 && !hottest.empty() && hottest.top().first > limits.hot_share) {
    const int64_t expert = -hottest.top().second;
    hottest.pop();
    if (counts[expert] >= limits.workers) continue;
    ++counts[expert];
    --left;
    hottest.emplace(loads[expert] / counts[expert], -expert);
  }
  return counts;
}

}  // namespace expertmesh
