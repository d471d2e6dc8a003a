#include "cli/load/axis.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace expertmesh {
namespace {

constexpr double kLogFromRatio = 20;
constexpr double kLogLoadsFromRatio = 8;
constexpr double kFewDecades = 3;   // up to here 1, 2 and 5 of each are ticks, then 1 alone
constexpr double kLinearTicks = 5;  // about as many

Axis LogAxis(double low, double high) {
  Axis axis{low, high, true, {}};
  const bool fine = std::log10(high / low) <= kFewDecades;
  for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double tick = decade * step;
      if (tick >= low && tick <= high && (fine || step == 1)) axis.ticks.push_back(tick);
    }
  }
  return axis;
}

// The next of 1, 2, 5, 10, 20, ... from `value` on.
double RoundUp(double value) {
  const double decade = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (decade * step >= value * (1 - 1e-9)) return decade * step;
  }
  return decade * 10;
}

Axis LinearAxis(double most) {
  const double step = RoundUp(most / kLinearTicks);
  const int count = static_cast<int>(std::ceil(most / step - 1e-9));
  Axis axis{0, step * count, false, {}};
  for (int i = 0; i <= count; ++i) axis.ticks.push_back(step * i);
  return axis;
}

}  // namespace

double Axis::At(double value) const {
  if (!log) return (value - low) / (high - low);
  return std::log(std::max(value, low) / low) / std::log(high / low);
}

Axis AxisOver(const std::vector<double>& values) {
  double least = 0, most = 0;
  for (const double value : values) {
    most = std::max(most, value);
    if (value > 0) least = least == 0 ? value : std::min(least, value);
  }
  if (most <= 0) return LinearAxis(1);
  if (most / least <= kLogFromRatio) return LinearAxis(most);
  const double low_decade = std::pow(10, std::floor(std::log10(least)));
  const double low = least >= 5 * low_decade   ? 5 * low_decade
                     : least >= 2 * low_decade ? 2 * low_decade
                                               : low_decade;
  return LogAxis(low, RoundUp(most));
}

Axis AxisAt(const std::vector<double>& loads) {
  std::vector<double> ticks = loads;
  std::sort(ticks.begin(), ticks.end());
  ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
  if (ticks.empty() || ticks.front() <= 0) return LinearAxis(1);
  if (ticks.back() / ticks.front() < kLogLoadsFromRatio) return {0, ticks.back(), false, ticks};
  return {ticks.front(), ticks.back(), true, ticks};
}

std::string TickText(double value) { return absl::StrFormat("%g", value); }

}  // namespace expertmesh
