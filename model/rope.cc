#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/math.h"

// The roundings are those of transformers, whose angles the published weights have seen: f32 after
// every step, except that a power, a sine or a cosine is rounded once, from a double.

namespace expertmesh {
namespace {

constexpr double kTwoPi = 6.283185307179586476925;

// theta^(2i/dim).
float Wavelength(const ModelConfig& config, int64_t i) {
  const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.qk_rope_dim);
  const double theta = static_cast<float>(config.rope_theta);
  return static_cast<float>(ExpD(exponent * LogD(theta)));
}

// The (fractional) index of the frequency that makes `turns` turns over the original context.
double CorrectionDim(const ModelConfig& config, double turns) {
  const auto dim = static_cast<double>(config.qk_rope_dim);
  const auto length = static_cast<double>(config.yarn->original_max_position);
  return dim * LogD(length / (turns * kTwoPi)) / (2 * LogD(config.rope_theta));
}

// From 0 (the frequency is kept) at `low` to 1 (it is divided by `factor`) at `high`.
struct Ramp {
  double low;
  double high;

  float At(int64_t i) const {
    const float width = static_cast<float>(high - low);
    const float value = (static_cast<float>(i) - static_cast<float>(low)) / width;
    return std::clamp(value, 0.0f, 1.0f);
  }
};

Ramp YarnRamp(const ModelConfig& config) {
  double low = CorrectionDim(config, config.yarn->beta_fast);
  double high = CorrectionDim(config, config.yarn->beta_slow);
  if (config.yarn->truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(config.qk_rope_dim - 1));
  if (low == high) high += 0.001;
  return {low, high};
}

double Magnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * LogD(factor) + 1.0;
}

// What YaRN multiplies cos and sin by. 1 in every published checkpoint, where mscale and
// mscale_all_dim are equal.
float CosSinFactor(const ModelConfig& config) {
  if (!config.yarn.has_value()) return 1.0f;
  const YarnConfig& yarn = *config.yarn;
  if (yarn.attention_factor != 0) return static_cast<float>(yarn.attention_factor);
  if (yarn.mscale != 0 && yarn.mscale_all_dim != 0) {
    return static_cast<float>(Magnitude(yarn.factor, yarn.mscale) /
                              Magnitude(yarn.factor, yarn.mscale_all_dim));
  }
  return static_cast<float>(Magnitude(yarn.factor, 1));
}

}  // namespace

std::vector<float> RopeFrequencies(const ModelConfig& config) {
  std::vector<float> frequencies(config.qk_rope_dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = 1.0f / Wavelength(config, static_cast<int64_t>(i));
  }
  if (config.rope_divisor != 1) {
    for (float& frequency : frequencies) frequency /= static_cast<float>(config.rope_divisor);
  }
  if (!config.yarn.has_value()) return frequencies;

  const Ramp ramp = YarnRamp(config);
  const float factor = static_cast<float>(config.yarn->factor);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float stretched = 1.0f / (factor * Wavelength(config, static_cast<int64_t>(i)));
    const float kept = 1.0f - ramp.At(static_cast<int64_t>(i));
    frequencies[i] = stretched * (1.0f - kept) + frequencies[i] * kept;
  }
  return frequencies;
}

std::vector<float> RopeTable(const ModelConfig& config, int64_t positions) {
  const std::vector<float> frequencies = RopeFrequencies(config);
  const float factor = CosSinFactor(config);
  std::vector<float> table;
  table.reserve(static_cast<size_t>(positions) * 2 * frequencies.size());
  for (int64_t position = 0; position < positions; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      table.push_back(static_cast<float>(CosD(angle)) * factor);
      table.push_back(static_cast<float>(SinD(angle)) * factor);
    }
  }
  return table;
}

}  // namespace expertmesh
