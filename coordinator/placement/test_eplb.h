// test_eplb.h: the yardstick: the greedy placement that DeepSeek published as EPLB (global policy),
// written from its description. Per layer, with as many slots on each worker: replicas one by one
// to the expert with the largest load per replica; then all copies, the heaviest first, each to the
// least loaded worker that has a slot left.
#pragma once

#include <algorithm>
#include <vector>

#include "absl/types/span.h"

namespace expertmesh {

// max/mean over the workers, of one layer.
inline double EplbLevel(absl::Span<const double> loads, int32_t workers, int32_t slots) {
  const int32_t experts = static_cast<int32_t>(loads.size());
  std::vector<int32_t> counts(experts, 1);
  for (int32_t i = experts; i < workers * slots; ++i) {
    int32_t hottest = 0;
    for (int32_t e = 1; e < experts; ++e) {
      if (loads[e] / counts[e] > loads[hottest] / counts[hottest]) hottest = e;
    }
    ++counts[hottest];
  }
  std::vector<double> copies;
  double sum = 0;
  for (int32_t e = 0; e < experts; ++e) {
    copies.insert(copies.end(), counts[e], loads[e] / counts[e]);
    sum += loads[e];
  }
  std::sort(copies.rbegin(), copies.rend());
  std::vector<double> load(workers, 0);
  std::vector<int32_t> taken(workers, 0);
  for (double copy : copies) {
    int32_t least = -1;
    for (int32_t w = 0; w < workers; ++w) {
      if (taken[w] < slots && (least < 0 || load[w] < load[least])) least = w;
    }
    load[least] += copy;
    ++taken[least];
  }
  return *std::max_element(load.begin(), load.end()) / (sum / workers);
}

}  // namespace expertmesh
