// dot.h: dot products in lane order, many at once. V is a Lanes type, see LINKAGE in
// micro_kernels.h.
#pragma once

#include <cstdint>

#include "kernels/cpu/micro_kernels.h"

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

// How the rows of `w` are read: whole vectors of 16, and what is left, n < 16, at the row's end.
template <typename V>
struct F32Weights {
  using Element = float;
  static V Load(const float* p) { return V::Load(p); }
  static V LoadEnd(const float* p, int64_t n) { return V::LoadFirst(p, n); }
};

template <typename V>
struct Bf16Weights {
  using Element = uint16_t;
  static V Load(const uint16_t* p) { return V::LoadBf16(p); }
  // Packed rows end in zeros. Those of x are zeros too, so the products past K are +0.
  static V LoadEnd(const uint16_t* p, int64_t) { return V::LoadBf16(p); }
};

// The last step of every dot product.
template <typename V, int kRows>
float SumOfLanes(V lanes) {
#ifdef EXPERTMESH_MUTANT_LANE_ORDER
  // A planted bug, for the test that must see it (tests/property): blocks of two rows add their
  // lanes from left to right.
  if (kRows == 2) {
    float v[16];
    V::Store(v, lanes);
    float sum = v[0];
    for (int i = 1; i < 16; ++i) sum = sum + v[i];
    return sum;
  }
#endif
  return V::SumOf(lanes);
}

// kRows rows from `row` on times kOuts weight rows from `out` on:
//
//              w[out]  w[out+1]  ..
//   x[row]       .        .           each cell is one accumulator of 16 lanes;
//   x[row+1]     .        .           a step of the loop takes 16 columns of every x and w
//   ..
//
// What one cell sees is the same whatever kRows and kOuts are.
template <typename V, typename W, int kRows, int kOuts>
void DotBlock(const DotTile& t, int64_t row, int64_t out) {
  using Element = typename W::Element;
  const float* x[kRows];
  const Element* w[kOuts];
  V sum[kRows][kOuts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) x[r] = t.x + (row + r) * t.x_stride;
#pragma GCC unroll 8
  for (int o = 0; o < kOuts; ++o) {
    w[o] = static_cast<const Element*>(t.w) + (out + o) * t.w_stride;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r][o] = V::All(0.0f);
  }
  int64_t k = 0;
  for (; k + 16 <= t.k; k += 16) {
    V wk[kOuts];
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) wk[o] = W::Load(w[o] + k);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V xk = V::Load(x[r] + k);
#pragma GCC unroll 8
      for (int o = 0; o < kOuts; ++o) sum[r][o] = V::Fma(xk, wk[o], sum[r][o]);
    }
  }
  if (k < t.k) {
    V wk[kOuts];
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) wk[o] = W::LoadEnd(w[o] + k, t.k - k);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V xk = V::LoadFirst(x[r] + k, t.k - k);
#pragma GCC unroll 8
      for (int o = 0; o < kOuts; ++o) sum[r][o] = V::Fma(xk, wk[o], sum[r][o]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) {
      t.y[(row + r) * t.y_stride + out + o] = SumOfLanes<V, kRows>(sum[r][o]);
    }
  }
}

// The block of exactly `rows` rows, 1 <= rows <= kRows.
template <typename V, typename W, int kRows, int kOuts>
void DotBlockOf(const DotTile& t, int64_t rows, int64_t row, int64_t out) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return DotBlockOf<V, W, kRows - 1, kOuts>(t, rows, row, out);
  }
  DotBlock<V, W, kRows, kOuts>(t, row, out);
}

template <typename V, typename W, int kOuts>
void DotRows(const DotTile& t, int64_t out) {
  for (int64_t row = 0; row < t.rows; row += V::kDotRows) {
    const int64_t left = t.rows - row;
    DotBlockOf<V, W, V::kDotRows, kOuts>(t, left < V::kDotRows ? left : V::kDotRows, row, out);
  }
}

template <typename V, typename W>
void Dot(const DotTile& t) {
  int64_t out = 0;
  for (; out + V::kDotOuts <= t.outs; out += V::kDotOuts) DotRows<V, W, V::kDotOuts>(t, out);
  for (; out < t.outs; ++out) DotRows<V, W, 1>(t, out);
}

}  // namespace
}  // namespace expertmesh
