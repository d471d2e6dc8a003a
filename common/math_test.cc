#include "common/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace expertmesh {
namespace {

constexpr uint64_t kSeed =
    20240507;  // fixed: these are measurements, the bounds are part of math.h
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kInfD = std::numeric_limits<double>::infinity();

// |got - want| in ulps of the format T at `want`.
template <typename T, typename Wide>
double UlpError(T got, Wide want) {
  const T near = static_cast<T>(std::fabs(want));
  const T ulp = std::nextafter(near, std::numeric_limits<T>::infinity()) - near;
  return static_cast<double>(std::fabs(static_cast<Wide>(got) - want) / static_cast<Wide>(ulp));
}

// The worst error over every `step`-th float of [low, high].
template <typename F, typename G>
double WorstOverFloats(float low, float high, F ours, G wide, uint32_t step = 331) {
  double worst = 0;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += step) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!(x >= low && x <= high)) continue;
    worst = std::max(worst, UlpError(ours(x), wide(static_cast<double>(x))));
  }
  return worst;
}

// The worst error over random doubles of [low, high], half of them near an end of it in scale.
template <typename F, typename G>
double WorstOverDoubles(double low, double high, F ours, G wide, int count = 400000) {
  std::mt19937_64 random(kSeed);
  std::uniform_real_distribution<double> even(low, high), fraction(-30, 0);
  double worst = 0;
  for (int i = 0; i < count; ++i) {
    double x = even(random);
    if (i % 2 != 0) x = std::clamp(x * std::exp2(fraction(random)), low, high);
    worst = std::max(worst, UlpError(ours(x), wide(static_cast<long double>(x))));
  }
  return worst;
}

TEST(Exp, IsWithinOneUlp) {
  const double worst =
      WorstOverFloats(kExpLowest, kExpHighest, Exp, [](double x) { return std::exp(x); });
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
}

TEST(Exp, HasExactEnds) {
  EXPECT_EQ(std::bit_cast<uint32_t>(Exp(-kInf)), 0u);
  EXPECT_EQ(std::bit_cast<uint32_t>(Exp(-1e30f)), 0u);
  EXPECT_EQ(std::bit_cast<uint32_t>(Exp(std::nextafter(kExpLowest, -kInf))), 0u);
  EXPECT_GE(Exp(kExpLowest), std::numeric_limits<float>::min());
  EXPECT_LT(Exp(kExpHighest), kInf);
  EXPECT_EQ(Exp(std::nextafter(kExpHighest, kInf)), kInf);
  EXPECT_EQ(Exp(kInf), kInf);
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<float>::quiet_NaN())));
}

// A fixed sample of bits: another compiler or machine must give the same.
TEST(Math, GivesTheBitsThatItAlwaysGave) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a over the results
  auto add = [&hash](uint64_t bits) { hash = (hash ^ bits) * 1099511628211u; };
  for (int i = -2000; i <= 2000; ++i) {
    const double x = i * 0.0437 + 1e-3;
    add(std::bit_cast<uint32_t>(Exp(static_cast<float>(x))));
    add(std::bit_cast<uint32_t>(Silu(static_cast<float>(x))));
    add(std::bit_cast<uint32_t>(Log(static_cast<float>(std::fabs(x)))));
    add(std::bit_cast<uint64_t>(ExpD(x)));
    add(std::bit_cast<uint64_t>(LogD(std::fabs(x))));
    add(std::bit_cast<uint64_t>(SinD(x * 1000)));
    add(std::bit_cast<uint64_t>(CosD(x * 1000)));
  }
  EXPECT_EQ(hash, 15434512516572725822u);
}

TEST(Silu, IsWithinThreeUlp) {
  const double worst =
      WorstOverFloats(-87.0f, 1e30f, Silu, [](double x) { return x / (1 + std::exp(-x)); });
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 3.0);
}

TEST(Silu, HasExactEnds) {
  EXPECT_EQ(Silu(0.0f), 0.0f);
  EXPECT_EQ(Silu(kInf), kInf);
  EXPECT_EQ(std::bit_cast<uint32_t>(Silu(-100.0f)), 0x80000000u);
  EXPECT_TRUE(std::isnan(Silu(-kInf)));
  EXPECT_TRUE(std::isnan(Silu(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Log, IsTheDoubleRoundedOnce) {
  const double worst = WorstOverFloats(std::numeric_limits<float>::denorm_min(), kInf, Log,
                                       [](double x) { return std::log(x); });
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 0.51);
  EXPECT_EQ(Log(1.0f), 0.0f);
  EXPECT_FALSE(std::signbit(Log(1.0f)));
}

TEST(ExpD, IsWithinOneUlp) {
  const double worst =
      WorstOverDoubles(-708.39, 709.782, ExpD, [](long double x) { return std::exp(x); });
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(ExpD(-709), 0);
  EXPECT_EQ(ExpD(-kInfD), 0);
  EXPECT_EQ(ExpD(710), kInfD);
  EXPECT_EQ(ExpD(0), 1);
  EXPECT_TRUE(std::isnan(ExpD(std::numeric_limits<double>::quiet_NaN())));
}

TEST(LogD, IsWithinOneUlp) {
  auto wide = [](long double x) { return std::log(x); };
  double worst =
      std::max(WorstOverDoubles(1e-300, 1e300, LogD, wide), WorstOverDoubles(0.4, 2.5, LogD, wide));
  worst = std::max(worst, WorstOverDoubles(5e-324, 1e-308, LogD, wide));
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(LogD(0), -kInfD);
  EXPECT_EQ(LogD(kInfD), kInfD);
  EXPECT_EQ(LogD(1), 0);
  EXPECT_TRUE(std::isnan(LogD(-1)));
}

TEST(SinD, IsWithinOneUlpAsIsCosD) {
  auto sin = [](long double x) { return std::sin(x); };
  auto cos = [](long double x) { return std::cos(x); };
  for (double high : {1.0, 10.0, 1e4, kTrigHighest}) {
    const double worst = std::max(WorstOverDoubles(-high, high, SinD, sin),
                                  WorstOverDoubles(-high, high, CosD, cos));
    RecordProperty("worst_ulp_to_" + std::to_string(high), std::to_string(worst));
    EXPECT_LT(worst, 1.0) << "up to " << high;
  }
  EXPECT_EQ(SinD(0), 0);
  EXPECT_EQ(CosD(0), 1);
  EXPECT_TRUE(std::isnan(SinD(2 * kTrigHighest)));
  EXPECT_TRUE(std::isnan(CosD(kInfD)));
}

// Where a reduction by too short a pi shows: the doubles next to multiples of pi/2.
TEST(SinD, IsWithinOneUlpNextToMultiplesOfHalfPi) {
  constexpr long double kHalfPi = 1.57079632679489661923132169163975144L;
  double worst = 0;
  for (int64_t n = 1; n * kHalfPi < kTrigHighest; n += 17) {
    const double x = static_cast<double>(n * kHalfPi);
    worst = std::max(worst, UlpError(SinD(x), std::sin(static_cast<long double>(x))));
    worst = std::max(worst, UlpError(CosD(x), std::cos(static_cast<long double>(x))));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.0);
}

}  // namespace
}  // namespace expertmesh
