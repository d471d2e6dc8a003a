#include "common/math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "common/math_tree.h"

namespace expertmesh {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves an integer below

// One float as math_tree.h wants it.
struct OneLane {
  float v;

  static OneLane All(float a) { return {a}; }
  static OneLane Add(OneLane a, OneLane b) { return {a.v + b.v}; }
  static OneLane Sub(OneLane a, OneLane b) { return {a.v - b.v}; }
  static OneLane Mul(OneLane a, OneLane b) { return {a.v * b.v}; }
  static OneLane Div(OneLane a, OneLane b) { return {a.v / b.v}; }
  static OneLane Fma(OneLane a, OneLane b, OneLane c) { return {std::fma(a.v, b.v, c.v)}; }
  static OneLane ShiftExponent(OneLane p, OneLane t) {
    return {
        std::bit_cast<float>(std::bit_cast<uint32_t>(p.v) + (std::bit_cast<uint32_t>(t.v) << 23))};
  }
  static OneLane IfLess(OneLane a, OneLane b, OneLane x, OneLane y) { return a.v < b.v ? x : y; }
  static OneLane IfNan(OneLane a, OneLane x, OneLane y) { return a.v != a.v ? x : y; }
};

// sum over i of c[i] * x^i, from the highest power down.
template <int kTerms>
double Polynomial(const double (&c)[kTerms], double x) {
  double sum = c[kTerms - 1];
  for (int i = kTerms - 2; i >= 0; --i) sum = std::fma(sum, x, c[i]);
  return sum;
}

// x = quadrant * pi/2 + (high + low), |high| <= pi/4 and low below half an ulp of high.
struct Reduced {
  double high;
  double low;
  uint64_t quadrant;  // modulo 4
};

// pi/2 in three pieces of 53 bits. x - n * kFirst is exact, because both are multiples of one
// power of two and the difference is below 2^53 of them; the rest is carried in two doubles.
Reduced ReduceByHalfPi(double x) {
  constexpr double kTwoOverPi = 0.636619772367581343076;
  constexpr double kFirst = 1.57079632679489655800;
  constexpr double kSecond = 6.12323399573676603587e-17;
  constexpr double kThird = -1.49738490485916983294e-33;
  const double t = std::fma(x, kTwoOverPi, kRound);
  const double n = t - kRound;
  const double first = std::fma(n, -kFirst, x);
  const double product = n * kSecond;
  const double product_error = std::fma(n, kSecond, -product);
  const double second = first - product;  // and its rounding error, by Knuth's two-sum
  const double back = second - first;
  const double error = (first - (second - back)) - (product + back);
  const double tail = error - std::fma(n, kThird, product_error);
  const double high = second + tail;
  return {high, (second - high) + tail, std::bit_cast<uint64_t>(t) & 3};
}

// sin(high + low) to first order in low: high + high * z * S(z) + low * cos(high).
double SinOfReduced(const Reduced& a) {
  constexpr double kS[] = {-1.0 / 6,
                           1.0 / 120,
                           -1.0 / 5040,
                           1.0 / 362880,
                           -1.0 / 39916800,
                           1.0 / 6227020800.0,
                           -1.0 / 1307674368000.0,
                           1.0 / 355687428096000.0};
  const double z = a.high * a.high;
  const double rest = std::fma(a.high * z, Polynomial(kS, z), a.low * std::fma(z, -0.5, 1.0));
  return a.high + rest;
}

// cos(high + low) = (1 - z/2) + z^2 * C(z) - high * low, with the rounding error of 1 - z/2 put
// back.
double CosOfReduced(const Reduced& a) {
  constexpr double kC[] = {1.0 / 24,
                           -1.0 / 720,
                           1.0 / 40320,
                           -1.0 / 3628800,
                           1.0 / 479001600.0,
                           -1.0 / 87178291200.0,
                           1.0 / 20922789888000.0,
                           -1.0 / 6402373705728000.0};
  const double z = a.high * a.high;
  const double half = 0.5 * z;
  const double head = 1.0 - half;
  const double z_error = std::fma(a.high, a.high, -z);  // of the square, half of which counts
  const double small = std::fma(-0.5, z_error, std::fma(a.high, -a.low, (1.0 - head) - half));
  return head + std::fma(z * z, Polynomial(kC, z), small);
}

double SinOfQuadrant(const Reduced& a, uint64_t quadrant) {
  const double value = (quadrant & 1) != 0 ? CosOfReduced(a) : SinOfReduced(a);
  return (quadrant & 2) != 0 ? -value : value;
}

}  // namespace

float Exp(float x) { return ExpTree(OneLane{x}).v; }

float Silu(float x) { return SiluTree(OneLane{x}).v; }

float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

float Log(float x) { return static_cast<float>(LogD(x)); }

double ExpD(double x) {
  constexpr double kLog2E = 1.44269504088896340736;
  constexpr double kLn2High = 0.693147180559945286227;
  constexpr double kLn2Low = 2.31904681384629955842e-17;
  // 1 / k! from k = 2 on: e^r = 1 + (r + r^2 * sum), the rest below 5e-18 for |r| <= 0.3466.
  constexpr double kE[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,          1.0 / 120,
                           1.0 / 720,     1.0 / 5040,     1.0 / 40320,       1.0 / 362880,
                           1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600.0, 1.0 / 6227020800.0};
  if (x != x) return x;
  if (x < -708.39) return 0.0;
  if (x > 709.782) return kInfinity;
  const double t = std::fma(x, kLog2E, kRound);
  const double n = t - kRound;
  const double first = std::fma(n, -kLn2High, x);
  const double r = std::fma(n, -kLn2Low, first);
  const double low = std::fma(n, -kLn2Low, first - r);  // what r lost
  const double p = 1.0 + (r + std::fma(r * r, Polynomial(kE, r), low));
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) + (std::bit_cast<uint64_t>(t) << 52));
}

double LogD(double x) {
  // ln 2 with 20 zero bits at the end, so that its product with an exponent is exact, and the rest.
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  // With s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - s * (f - 2 s^2 (1/3 + s^2/5 + ...)).
  constexpr double kA[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                           2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
  if (!(x > 0)) return x == 0 ? -kInfinity : kNan;
  if (x == kInfinity) return x;
  int64_t exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const int64_t shift = static_cast<int64_t>(bits - kSqrtHalf) >> 52;
  exponent += shift;
  const double f = std::bit_cast<double>(bits - (static_cast<uint64_t>(shift) << 52)) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double half = 0.5 * f * f;
  const double e = static_cast<double>(exponent);
  const double small = std::fma(s, std::fma(z, Polynomial(kA, z), half), e * kLn2Low);
  return std::fma(e, kLn2High, -((half - small) - f));
}

double SinD(double x) {
  if (!(x >= -kTrigHighest && x <= kTrigHighest)) return kNan;
  const Reduced a = ReduceByHalfPi(x);
  return SinOfQuadrant(a, a.quadrant);
}

double CosD(double x) {
  if (!(x >= -kTrigHighest && x <= kTrigHighest)) return kNan;
  const Reduced a = ReduceByHalfPi(x);
  return SinOfQuadrant(a, a.quadrant + 1);
}

}  // namespace expertmesh
