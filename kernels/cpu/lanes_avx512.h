// lanes_avx512.h: sixteen f32 lanes in one AVX-512 register. What each function means:
// lanes_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

struct LanesAvx512 {
  // 32 registers: 24 accumulators, and what is loaded.
  static constexpr int kDotRows = 6, kDotOuts = 4;
  static constexpr int kValueHeads = 8, kValueVectors = 3;

  __m512 v;

  static LanesAvx512 All(float a) { return {_mm512_set1_ps(a)}; }

  static LanesAvx512 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static LanesAvx512 LoadFirst(const float* p, int64_t n) {
    return {_mm512_maskz_loadu_ps(MaskOf(n), p)};
  }
  static LanesAvx512 LoadFirstOr(const float* p, int64_t n, float rest) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(rest), MaskOf(n), p)};
  }
  static LanesAvx512 LoadBf16(const uint16_t* p) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16))};
  }
  static void Store(float* p, LanesAvx512 a) { _mm512_storeu_ps(p, a.v); }
  static void StoreFirst(float* p, int64_t n, LanesAvx512 a) {
    _mm512_mask_storeu_ps(p, MaskOf(n), a.v);
  }

  static LanesAvx512 Add(LanesAvx512 a, LanesAvx512 b) { return {_mm512_add_ps(a.v, b.v)}; }
  static LanesAvx512 Sub(LanesAvx512 a, LanesAvx512 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  static LanesAvx512 Mul(LanesAvx512 a, LanesAvx512 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static LanesAvx512 Div(LanesAvx512 a, LanesAvx512 b) { return {_mm512_div_ps(a.v, b.v)}; }
  static LanesAvx512 Fma(LanesAvx512 a, LanesAvx512 b, LanesAvx512 c) {
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
  }
  static LanesAvx512 Max(LanesAvx512 a, LanesAvx512 b) { return {_mm512_max_ps(a.v, b.v)}; }
  static LanesAvx512 ShiftExponent(LanesAvx512 p, LanesAvx512 t) {
    const __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), shift))};
  }
  static LanesAvx512 IfLess(LanesAvx512 a, LanesAvx512 b, LanesAvx512 x, LanesAvx512 y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
  }
  static LanesAvx512 IfNan(LanesAvx512 a, LanesAvx512 x, LanesAvx512 y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), y.v, x.v)};
  }

  static float SumOf(LanesAvx512 a) {
    const __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
  }
  static float MaxOf(LanesAvx512 a) {
    const __m256 by8 = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }

 private:
  // Bit i is set where i < n.
  static __mmask16 MaskOf(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
};

}  // namespace
}  // namespace expertmesh
