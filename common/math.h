// math.h: elementary functions whose bits are ours.
//
// A C library picks variants of exp or cos by processor, so their last bit moves from machine to
// machine. These are fixed trees of IEEE add, subtract, multiply, divide and fused multiply-add:
// the same argument gives the same bits everywhere, as long as the compiler contracts nothing
// (cmake/Flags.cmake) and the rounding mode is nearest even. common/math_test.cc measures the
// errors given here against a wider type; an ulp is the distance of two neighbours at the result.
//
// NaN gives NaN; which of the NaNs is not promised. Nothing touches errno.
#pragma once

namespace expertmesh {

// e^x within 1 ulp. Below kExpLowest (so from -inf on) +0 exactly: no result is subnormal. Above
// kExpHighest +inf. The same tree as kernels run it on 16 values at once (math_tree.h).
float Exp(float x);
inline constexpr float kExpLowest = -87.3365f;   // e^x is about 2^-126, the least normal float
inline constexpr float kExpHighest = 88.72283f;  // the last float below log(2^128)

// Natural logarithm within 0.51 ulp. 0 gives -inf, less gives NaN, +inf gives +inf.
float Log(float x);

// x / (1 + e^-x) within 3 ulp for x >= -87; -0 below -88.73, where e^-x is +inf. NaN for -inf.
float Silu(float x);

// 1 / (1 + e^-x) within 2 ulp for x >= -87; +0 below -88.73.
float Sigmoid(float x);

// e^x within 1 ulp. Below -708.39 +0 exactly: no result is subnormal. Above 709.782 +inf.
double ExpD(double x);

// Natural logarithm within 1 ulp. 0 gives -inf, less gives NaN, +inf gives +inf.
double LogD(double x);

// Sine and cosine of x radians within 1 ulp, for |x| <= kTrigHighest; NaN beyond. The argument is
// reduced by a pi/2 of 159 bits.
double SinD(double x);
double CosD(double x);
inline constexpr double kTrigHighest = 1e7;

}  // namespace expertmesh
