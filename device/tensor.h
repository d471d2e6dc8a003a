// tensor.h: views of numbers that somebody else owns. Sizes and strides count elements.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/check.h"
#include "common/dtype.h"

namespace expertmesh {

// rows x cols, row r starts at r * stride, elements of a row are adjacent.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  float* f32() const {
    DCHECK(dtype == DType::kF32, "an f32 matrix was promised");
    return static_cast<float*>(data);
  }
  // The first `count` rows.
  Matrix Top(int64_t count) const { return {data, dtype, count, cols, stride}; }
  // Columns [begin, begin + count) of every row.
  Matrix Columns(int64_t begin, int64_t count) const {
    return {static_cast<std::byte*>(data) + begin * static_cast<int64_t>(SizeOf(dtype)), dtype,
            rows, count, stride};
  }
  // Rows [begin, begin + count).
  Matrix Rows(int64_t begin, int64_t count) const {
    return {static_cast<std::byte*>(data) + begin * stride * static_cast<int64_t>(SizeOf(dtype)),
            dtype, count, cols, stride};
  }
};

struct ConstMatrix {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  ConstMatrix() = default;
  ConstMatrix(const void* d, DType t, int64_t r, int64_t c, int64_t s)
      : data(d), dtype(t), rows(r), cols(c), stride(s) {}
  ConstMatrix(const Matrix& m)  // NOLINT(google-explicit-constructor): a view of a view
      : data(m.data), dtype(m.dtype), rows(m.rows), cols(m.cols), stride(m.stride) {}

  const float* f32() const {
    DCHECK(dtype == DType::kF32, "an f32 matrix was promised");
    return static_cast<const float*>(data);
  }
};

inline Matrix F32Matrix(float* data, int64_t rows, int64_t cols) {
  return {data, DType::kF32, rows, cols, cols};
}
inline ConstMatrix F32Matrix(const float* data, int64_t rows, int64_t cols) {
  return {data, DType::kF32, rows, cols, cols};
}

}  // namespace expertmesh
