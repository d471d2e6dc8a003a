// math_tree.h: Exp and Silu of math.h as expression trees over V: one float, or sixteen in a vector
// register. Written once, so that every width gives the same bits.
//
// V has these static functions, each acting on every lane by itself:
//   V All(float)                    the same value in every lane
//   V Add, Sub, Mul, Div(V, V)      rounded once, to nearest even
//   V Fma(V a, V b, V c)            a * b + c, rounded once
//   V ShiftExponent(V p, V t)       bits(p) + (bits(t) << 23), modulo 2^32
//   V IfLess(V a, V b, V x, V y)    a < b ? x : y
//   V IfNan(V a, V x, V y)          a != a ? x : y
#pragma once

#include "common/math.h"

namespace expertmesh {

// e^x = 2^n * e^r with n the integer nearest to x / ln 2, so |r| <= 0.3466; e^r by its Taylor sum
// up to r^7, whose rest is below 6e-9. Adding kRound pushes the fraction out of the significand and
// leaves n in its low bits, where ShiftExponent finds it.
template <typename V>
inline V ExpTree(V x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kRound = 12582912.0f;        // 1.5 * 2^23
  constexpr float kLn2High = 0.693147182465f;  // ln 2 rounded to float, and what is left of it
  constexpr float kLn2Low = -1.90465429995777e-9f;
  const V t = V::Fma(x, V::All(kLog2E), V::All(kRound));
  const V n = V::Sub(t, V::All(kRound));
  V r = V::Fma(n, V::All(-kLn2High), x);
  r = V::Fma(n, V::All(-kLn2Low), r);
  V p = V::All(1.0f / 5040);
  p = V::Fma(p, r, V::All(1.0f / 720));
  p = V::Fma(p, r, V::All(1.0f / 120));
  p = V::Fma(p, r, V::All(1.0f / 24));
  p = V::Fma(p, r, V::All(1.0f / 6));
  p = V::Fma(p, r, V::All(0.5f));
  p = V::Fma(p, r, V::All(1.0f));
  p = V::Fma(p, r, V::All(1.0f));
  V y = V::ShiftExponent(p, t);
  y = V::IfLess(x, V::All(kExpLowest), V::All(0.0f), y);
  y = V::IfLess(V::All(kExpHighest), x, V::All(__builtin_inff()), y);
  return V::IfNan(x, x, y);
}

template <typename V>
inline V SiluTree(V x) {
  const V e = ExpTree(V::Sub(V::All(0.0f), x));
  return V::Div(x, V::Add(V::All(1.0f), e));
}

}  // namespace expertmesh
