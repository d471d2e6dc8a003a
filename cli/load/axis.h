// axis.h: where on a line a value goes, and where the line has ticks.
#pragma once

#include <string>
#include <vector>

namespace expertmesh {

struct Axis {
  double low = 0, high = 1;  // low < high; both above 0 if `log`
  bool log = false;
  std::vector<double> ticks;  // ascending, from low to high

  double At(double value) const;  // low: 0, high: 1
};

// For values measured: from 0, or logarithmic where the largest is more than 20 times the smallest
// that is above 0. No values: 0 to 1.
Axis AxisOver(const std::vector<double>& values);
// For loads that were chosen: each is a tick; logarithmic from a factor of 8 on.
Axis AxisAt(const std::vector<double>& loads);

// "0.5", "20", "5000", "2e+06".
std::string TickText(double value);

}  // namespace expertmesh
