// lanes_avx2.h: sixteen f32 lanes in two AVX2 registers. What each function means: lanes_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

struct LanesAvx2 {
  // 16 registers: 2 x 3 accumulators of two, and what is loaded.
  static constexpr int kDotRows = 3, kDotOuts = 2;
  static constexpr int kValueHeads = 2, kValueVectors = 3;

  __m256 low;   // lanes 0-7
  __m256 high;  // lanes 8-15

  static LanesAvx2 All(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }

  static LanesAvx2 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static LanesAvx2 LoadFirst(const float* p, int64_t n) {
    return {_mm256_maskload_ps(p, MaskFrom(0, n)), _mm256_maskload_ps(p + 8, MaskFrom(8, n))};
  }
  static LanesAvx2 LoadFirstOr(const float* p, int64_t n, float rest) {
    const LanesAvx2 y = LoadFirst(p, n);
    const __m256 r = _mm256_set1_ps(rest);
    return {_mm256_blendv_ps(r, y.low, _mm256_castsi256_ps(MaskFrom(0, n))),
            _mm256_blendv_ps(r, y.high, _mm256_castsi256_ps(MaskFrom(8, n)))};
  }
  static LanesAvx2 LoadBf16(const uint16_t* p) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {Widen(_mm256_castsi256_si128(words)), Widen(_mm256_extracti128_si256(words, 1))};
  }
  static void Store(float* p, LanesAvx2 a) {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
  }
  static void StoreFirst(float* p, int64_t n, LanesAvx2 a) {
    _mm256_maskstore_ps(p, MaskFrom(0, n), a.low);
    _mm256_maskstore_ps(p + 8, MaskFrom(8, n), a.high);
  }

  static LanesAvx2 Add(LanesAvx2 a, LanesAvx2 b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static LanesAvx2 Sub(LanesAvx2 a, LanesAvx2 b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static LanesAvx2 Mul(LanesAvx2 a, LanesAvx2 b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static LanesAvx2 Div(LanesAvx2 a, LanesAvx2 b) {
    return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
  }
  static LanesAvx2 Fma(LanesAvx2 a, LanesAvx2 b, LanesAvx2 c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static LanesAvx2 Max(LanesAvx2 a, LanesAvx2 b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static LanesAvx2 ShiftExponent(LanesAvx2 p, LanesAvx2 t) {
    return {Shifted(p.low, t.low), Shifted(p.high, t.high)};
  }
  static LanesAvx2 IfLess(LanesAvx2 a, LanesAvx2 b, LanesAvx2 x, LanesAvx2 y) {
    return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
            _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
  }
  static LanesAvx2 IfNan(LanesAvx2 a, LanesAvx2 x, LanesAvx2 y) {
    return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, a.low, _CMP_UNORD_Q)),
            _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, a.high, _CMP_UNORD_Q))};
  }

  static float SumOf(LanesAvx2 a) {
    const __m256 by8 = _mm256_add_ps(a.low, a.high);
    const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
  }
  static float MaxOf(LanesAvx2 a) {
    const __m256 by8 = _mm256_max_ps(a.low, a.high);
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }

 private:
  // All ones in lane i where begin + i < n.
  static __m256i MaskFrom(int begin, int64_t n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n) - begin), lanes);
  }
  static __m256 Widen(__m128i words) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
  static __m256 Shifted(__m256 p, __m256 t) {
    const __m256i shift = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shift));
  }
};

}  // namespace
}  // namespace expertmesh
