// row_ops.h: the ops that go along one row: norms, activations, softmax, sums. V is a Lanes type,
// see LINKAGE in micro_kernels.h.
#pragma once

#include <cstdint>

#include "common/math_tree.h"
#include "kernels/cpu/micro_kernels.h"

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

// The next 16 values, or the `left` < 16 that the row still has with `rest` after them.
template <typename V>
V LoadNext(const float* p, int64_t left, float rest = 0.0f) {
  return left >= 16 ? V::Load(p) : V::LoadFirstOr(p, left, rest);
}

template <typename V>
void StoreNext(float* p, int64_t left, V a) {
  left >= 16 ? V::Store(p, a) : V::StoreFirst(p, left, a);
}

template <typename V>
void RmsNorm(const float* x, const float* weight, float eps, int64_t cols, float* y) {
  V squares = V::All(0.0f);
  for (int64_t i = 0; i < cols; i += 16) {
    const V a = LoadNext<V>(x + i, cols - i);
    squares = V::Fma(a, a, squares);
  }
  const float mean = V::SumOf(squares) / static_cast<float>(cols);
  const V factor = V::All(1.0f / __builtin_sqrtf(mean + eps));
  for (int64_t i = 0; i < cols; i += 16) {
    const V scaled = V::Mul(LoadNext<V>(x + i, cols - i), factor);
    StoreNext<V>(y + i, cols - i, V::Mul(scaled, LoadNext<V>(weight + i, cols - i)));
  }
}

template <typename V>
void Rope(const float* x, int64_t heads, int64_t x_step, int64_t width, const float* table,
          float* y, int64_t y_step) {
  for (int64_t h = 0; h < heads; ++h, x += x_step, y += y_step) {
    for (int64_t i = 0; i < width; i += 2) {
      const float a = x[i], b = x[i + 1], cos = table[i], sin = table[i + 1];
      y[i] = __builtin_fmaf(a, cos, -(b * sin));
      y[i + 1] = __builtin_fmaf(a, sin, b * cos);
    }
  }
}

template <typename V>
void SwiGlu(const float* gate, const float* up, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 16) {
    const V silu = SiluTree(LoadNext<V>(gate + i, n - i));
    StoreNext<V>(y + i, n - i, V::Mul(silu, LoadNext<V>(up + i, n - i)));
  }
}

template <typename V>
void Combine(const float* rows, int64_t stride, const float* weights, int64_t top_k,
             const float* shared, int64_t n, float* x) {
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i;
    V sum = V::Mul(V::All(weights[0]), LoadNext<V>(rows + i, left));
    for (int64_t t = 1; t < top_k; ++t) {
      sum = V::Fma(V::All(weights[t]), LoadNext<V>(rows + t * stride + i, left), sum);
    }
    if (shared != nullptr) sum = V::Add(sum, LoadNext<V>(shared + i, left));
    StoreNext<V>(x + i, left, V::Add(LoadNext<V>(x + i, left), sum));
  }
}

template <typename V>
void Add(const float* y, int64_t n, float* x) {
  for (int64_t i = 0; i < n; i += 16) {
    StoreNext<V>(x + i, n - i, V::Add(LoadNext<V>(x + i, n - i), LoadNext<V>(y + i, n - i)));
  }
}

// The order does not matter to the result, but for the sign of a zero and for NaN.
template <typename V>
float Maximum(const float* x, int64_t n) {
  constexpr float kLeast = -__builtin_inff();
  V most = V::All(kLeast);
  for (int64_t i = 0; i < n; i += 16) most = V::Max(most, LoadNext<V>(x + i, n - i, kLeast));
  return V::MaxOf(most);
}

// The sum of p = Exp(x - m); writes p too unless it is null. p may be x. Past the end -inf stands,
// which adds +0.
template <typename V>
float ExpAndSum(const float* x, int64_t n, float m, float* p) {
  V sum = V::All(0.0f);
  for (int64_t i = 0; i < n; i += 16) {
    const V e = ExpTree(V::Sub(LoadNext<V>(x + i, n - i, -__builtin_inff()), V::All(m)));
    sum = V::Add(sum, e);
    if (p != nullptr) StoreNext<V>(p + i, n - i, e);
  }
  return V::SumOf(sum);
}

template <typename V>
float SumExp(const float* x, int64_t n, float m) {
  return ExpAndSum<V>(x, n, m, nullptr);
}

template <typename V>
void Softmax(const float* x, int64_t n, float* p) {
  const V sum = V::All(ExpAndSum<V>(x, n, Maximum<V>(x, n), p));
  for (int64_t i = 0; i < n; i += 16) {
    StoreNext<V>(p + i, n - i, V::Div(LoadNext<V>(p + i, n - i, 1.0f), sum));
  }
}

}  // namespace
}  // namespace expertmesh
