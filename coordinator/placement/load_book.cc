#include "coordinator/placement/load_book.h"

#include <algorithm>
#include <cmath>

namespace expertmesh {
namespace {

constexpr double kMostHalfLives = 64;  // between two rebases: weights stay far from overflow

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

LoadBook::LoadBook(ExpertGrid grid, Time now, Duration half_life)
    : grid_(grid),
      begin_(now),
      base_(now),
      newest_(now),
      half_life_s_(std::max(Seconds(half_life), 1e-3)),
      weights_(grid.size(), 0) {}

double LoadBook::HalfLives(Time now) const { return Seconds(now - base_) / half_life_s_; }

// New tokens weigh more instead of old ones less: so a report costs as much as it says.
void LoadBook::Add(int32_t layer, int32_t expert, uint64_t tokens, Time now) {
  const int64_t row = int64_t{layer} - grid_.first_layer;
  if (row < 0 || row >= grid_.layers || expert < 0 || expert >= grid_.experts) return;
  newest_ = std::max(newest_, now);
  if (HalfLives(newest_) > kMostHalfLives) Rebase(newest_);
  weights_[row * grid_.experts + expert] +=
      static_cast<double>(tokens) * std::exp2(HalfLives(newest_));
}

void LoadBook::Rebase(Time now) {
  const double factor = std::exp2(-HalfLives(now));
  for (double& weight : weights_) weight *= factor;
  base_ = now;
}

std::vector<double> LoadBook::TokensPerSecond(Time now) const {
  now = std::max(now, newest_);
  const double age = Seconds(now - begin_) / half_life_s_;  // in half-lives
  std::vector<double> rates(weights_.size(), 0);
  if (age <= 0) return rates;
  // One token per second since the beginning would weigh this much now.
  const double steady = half_life_s_ / std::log(2.0) * (1 - std::exp2(-age));
  const double factor = std::exp2(-HalfLives(now)) / steady;
  for (size_t i = 0; i < rates.size(); ++i) rates[i] = weights_[i] * factor;
  return rates;
}

}  // namespace expertmesh
