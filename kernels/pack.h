// pack.h: weights, as a compute class wants them in memory.
//
// Packing goes tensor by tensor from checkpoint rows into memory that the caller gives, so the peak
// stays near the packed size. For class cpu-f32 a packed matrix is row-major [N, k_stride],
// k_stride = K rounded up to 16 and filled with zeros, in bf16 or f32; fp16 widens to f32.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/dtype.h"

namespace expertmesh {

// A weight matrix [n, k], ready for the ops. A view: memory is the packer's caller's.
struct PackedLinear {
  const void* data = nullptr;
  DType dtype = DType::kBf16;  // kBf16 or kF32
  int64_t n = 0;
  int64_t k = 0;
  int64_t k_stride = 0;  // elements from row to row
};

// How a stored dtype is held: as stored, but fp16 always and everything under `widen` as f32.
constexpr DType PackedDType(DType stored, bool widen) {
  return widen || stored != DType::kBf16 ? DType::kF32 : DType::kBf16;
}

constexpr int64_t PackedStride(int64_t k) { return (k + 15) / 16 * 16; }

// Bytes that a packed [n, k] takes; a multiple of 64.
size_t PackedBytes(int64_t n, int64_t k, DType packed);

// Packs rows [first_row, first_row + rows) of a matrix [n, k] whose rows lie in `source`, row-major
// [rows, k] in dtype `stored`, into `target` (PackedBytes(n, k, packed) bytes, 64-byte aligned,
// zeroed before the first call). Reentrant; calls for different rows may run at once.
void PackRows(const void* source, DType stored, int64_t first_row, int64_t rows, int64_t k,
              DType packed, void* target);

// As PackRows with one source row per target row, gathered: element (i, j) of the packed matrix is
// element (j, i) of source [k, n]. For kv_b's key half, which the absorbed form uses transposed.
void PackTransposed(const void* source, DType stored, int64_t n, int64_t k, DType packed,
                    void* target);

PackedLinear ViewPacked(const void* target, DType packed, int64_t n, int64_t k);

}  // namespace expertmesh
