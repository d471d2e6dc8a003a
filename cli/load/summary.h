// summary.h: many measured values in a few numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace expertmesh {

// What JSON reports name, so that nobody compares percentiles of two kinds.
inline constexpr char kPercentileMethod[] =
    "linear interpolation between closest ranks (numpy's default)";

// The value at position share * (count - 1) of the ascending `sorted`, from 0; between two values
// on the line between them. Not empty; `share` from 0 to 1.
double Percentile(const std::vector<double>& sorted, double share);

struct Summary {
  int64_t count = 0;  // 0: the rest says nothing
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;
};

Summary Summarize(std::vector<double> values);

}  // namespace expertmesh
