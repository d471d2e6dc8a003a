// lanes_scalar.h: sixteen f32 lanes in plain C++, for any processor. The meaning of the lane
// functions is here; lanes_avx2.h and lanes_avx512.h give the same bits with other instructions.
// `__builtin_fmaf` rounds once: one instruction where the target has it, else libm's (right, slow).
#pragma once

#include <cstdint>

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

struct LanesScalar {
  // How many rows and weight rows a register block of dot.h holds, and how many heads and vectors
  // one of attention.h. They choose speed, never bits.
  static constexpr int kDotRows = 2, kDotOuts = 2;
  static constexpr int kValueHeads = 2, kValueVectors = 1;

  float v[16];

  static LanesScalar All(float a) {
    LanesScalar y;
    for (float& lane : y.v) lane = a;
    return y;
  }

  static LanesScalar Load(const float* p) {
    LanesScalar y;
    for (int i = 0; i < 16; ++i) y.v[i] = p[i];
    return y;
  }
  // Lanes from n on are zeros; p[n] and beyond are not touched. 0 <= n <= 16.
  static LanesScalar LoadFirst(const float* p, int64_t n) { return LoadFirstOr(p, n, 0.0f); }
  static LanesScalar LoadFirstOr(const float* p, int64_t n, float rest) {
    LanesScalar y;
    for (int i = 0; i < 16; ++i) y.v[i] = i < n ? p[i] : rest;
    return y;
  }
  static LanesScalar LoadBf16(const uint16_t* p) {
    LanesScalar y;
    for (int i = 0; i < 16; ++i) y.v[i] = FromBits(uint32_t{p[i]} << 16);
    return y;
  }
  static void Store(float* p, LanesScalar a) { StoreFirst(p, 16, a); }
  static void StoreFirst(float* p, int64_t n, LanesScalar a) {
    for (int i = 0; i < n; ++i) p[i] = a.v[i];
  }

  static LanesScalar Add(LanesScalar a, LanesScalar b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] + b.v[i];
    return a;
  }
  static LanesScalar Sub(LanesScalar a, LanesScalar b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] - b.v[i];
    return a;
  }
  static LanesScalar Mul(LanesScalar a, LanesScalar b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] * b.v[i];
    return a;
  }
  static LanesScalar Div(LanesScalar a, LanesScalar b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] / b.v[i];
    return a;
  }
  static LanesScalar Fma(LanesScalar a, LanesScalar b, LanesScalar c) {
    for (int i = 0; i < 16; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
    return c;
  }
  // a > b ? a : b, as the vector instruction has it: b if either is NaN.
  static LanesScalar Max(LanesScalar a, LanesScalar b) {
    for (int i = 0; i < 16; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
  }
  static LanesScalar ShiftExponent(LanesScalar p, LanesScalar t) {
    for (int i = 0; i < 16; ++i) p.v[i] = FromBits(Bits(p.v[i]) + (Bits(t.v[i]) << 23));
    return p;
  }
  static LanesScalar IfLess(LanesScalar a, LanesScalar b, LanesScalar x, LanesScalar y) {
    for (int i = 0; i < 16; ++i) y.v[i] = a.v[i] < b.v[i] ? x.v[i] : y.v[i];
    return y;
  }
  static LanesScalar IfNan(LanesScalar a, LanesScalar x, LanesScalar y) {
    for (int i = 0; i < 16; ++i) y.v[i] = a.v[i] != a.v[i] ? x.v[i] : y.v[i];
    return y;
  }

  // The tree over the lanes: i with i + 8, then + 4, + 2, + 1.
  static float SumOf(LanesScalar a) {
    for (int half = 8; half >= 1; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] = a.v[i] + a.v[i + half];
    }
    return a.v[0];
  }
  static float MaxOf(LanesScalar a) {
    for (int half = 8; half >= 1; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
    }
    return a.v[0];
  }

 private:
  static uint32_t Bits(float a) { return __builtin_bit_cast(uint32_t, a); }
  static float FromBits(uint32_t a) { return __builtin_bit_cast(float, a); }
};

}  // namespace
}  // namespace expertmesh
