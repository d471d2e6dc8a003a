#include "cli/load/draws.h"

#include <algorithm>
#include <cmath>

#include "common/philox.h"

namespace expertmesh {
namespace {

constexpr uint32_t kStreamsPerPoint = 16;
constexpr double kPi = 3.14159265358979323846;

}  // namespace

double Draws::Uniform() {
  const uint32_t stream = static_cast<uint32_t>(series_.stream) + kStreamsPerPoint * series_.point;
  return UniformDraw(series_.seed, {stream, series_.index, drawn_++});
}

double Draws::Exponential() { return -std::log1p(-Uniform()); }

double Draws::Normal() {
  const double radius = std::sqrt(2 * Exponential());
  return radius * std::cos(2 * kPi * Uniform());
}

int32_t Draws::Between(int32_t low, int32_t high) {
  const double count = static_cast<double>(high) - low + 1;
  return std::min(high, low + static_cast<int32_t>(Uniform() * count));
}

}  // namespace expertmesh
