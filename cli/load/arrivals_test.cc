#include "cli/load/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>

namespace expertmesh {
namespace {

double SecondsOf(Duration duration) { return std::chrono::duration<double>(duration).count(); }

TEST(PoissonArrivals, GapsHaveTheMeanAndTheDeviationOfTheirRate) {
  constexpr int kCount = 50000;
  constexpr double kRate = 40;
  PoissonArrivals arrivals(kRate, 11);
  double last = 0, squares = 0, over_mean = 0;
  for (int i = 0; i < kCount; ++i) {
    const double now = SecondsOf(arrivals.Next());
    const double gap = now - last;
    ASSERT_GE(gap, 0);
    squares += gap * gap;
    over_mean += gap > 1 / kRate ? 1 : 0;
    last = now;
  }
  const double mean = last / kCount;
  EXPECT_NEAR(mean * kRate, 1, 0.02);
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean) * kRate, 1, 0.03);
  EXPECT_NEAR(over_mean / kCount, std::exp(-1), 0.01);  // an even rhythm would have none
}

TEST(PoissonArrivals, AreAFunctionOfTheSeed) {
  PoissonArrivals one(5, 1), same(5, 1), other(5, 2);
  const Duration first = one.Next();
  EXPECT_EQ(first, same.Next());
  EXPECT_NE(first, other.Next());
}

TEST(PoissonArrivals, ASlowRateStaysWithinWhatADurationHolds) {
  PoissonArrivals arrivals(1e-300, 1);
  for (int i = 0; i < 10; ++i) EXPECT_GT(SecondsOf(arrivals.Next()), 0);
}

}  // namespace
}  // namespace expertmesh
