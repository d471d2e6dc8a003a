// micro_kernels.h: the arithmetic of class cpu-f32 as a table of plain functions, one table per
// instruction set. ops.h says what each op gives; here one call does a piece of one op on the
// calling thread, and every table gives the same bits.
//
// All pointers are to f32 unless said otherwise and need no alignment; strides count elements.
//
// LINKAGE. Each table lives in a file compiled for its instruction set. Such a file must define
// nothing that the linker could pick for the others: no inline function or template of the standard
// library, of Abseil or of ours may come out of it with external linkage. So these files include
// only this header, math_tree.h, <cstdint> and the intrinsics, and every template in them takes a
// type from an unnamed namespace (Lanes...). kernels/cpu/CMakeLists.txt tests their symbols.
#pragma once

#include <cstdint>

namespace expertmesh {

// y[r, o] = x[r] . w[o] in lane order, for rows x outs elements.
struct DotTile {
  const float* x = nullptr;  // [rows, k]
  int64_t x_stride = 0;
  int64_t rows = 0;
  const void* w = nullptr;  // [outs, k] in f32, or in bf16 with rows padded to 16 by zeros
  int64_t w_stride = 0;
  int64_t outs = 0;
  int64_t k = 0;
  float* y = nullptr;  // [rows, outs]
  int64_t y_stride = 0;
};

// Attention of one row for a few of its heads.
struct AttentionTask {
  static constexpr int64_t kHeadsMax = 8;
  static constexpr int64_t kSplitMax = 2048;

  const float* query = nullptr;  // [heads, width]
  int64_t heads = 0;             // at most kHeadsMax
  int64_t width = 0;
  int64_t latent = 0;
  const float* cache = nullptr;     // [blocks, block_rows, width]
  const int32_t* blocks = nullptr;  // of this row's sequence
  int64_t block_rows = 0;
  int64_t positions = 0;  // how many are attended to: the row's own and all before it
  int64_t split = 0;      // a multiple of block_rows, at most kSplitMax
  float scale = 0;
  float* out = nullptr;  // [heads, latent]; also holds the sum while it grows
};

struct MicroKernels {
  const char* isa;  // as OpenClass names it

  void (*dot_bf16)(const DotTile& tile);
  void (*dot_f32)(const DotTile& tile);
  void (*attention)(const AttentionTask& task);

  // y[cols] = x * (1 / sqrt(mean(x^2) + eps)) * weight. y may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t cols, float* y);
  // Rotates `width` elements of each head into y, which may be x; table is the position's row of
  // (cos, sin).
  void (*rope)(const float* x, int64_t heads, int64_t x_step, int64_t width, const float* table,
               float* y, int64_t y_step);
  // y[n] = Silu(gate) * up. y may be gate or up.
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* y);
  // x[n] += (sum over i < top_k of weights[i] * rows[i]) + shared; shared may be null.
  void (*combine)(const float* rows, int64_t stride, const float* weights, int64_t top_k,
                  const float* shared, int64_t n, float* x);
  // x[n] += y.
  void (*add)(const float* y, int64_t n, float* x);
  // p[n] = Exp(x - maximum(x)) / sum of those.
  void (*softmax)(const float* x, int64_t n, float* p);
  float (*maximum)(const float* x, int64_t n);
  // The sum of Exp(x - m) in lane order.
  float (*sum_exp)(const float* x, int64_t n, float m);
};

// Constants, so that reading them runs no code of their file. The x86 ones exist there only.
extern const MicroKernels kScalarKernels;
extern const MicroKernels kAvx2Kernels;
extern const MicroKernels kAvx512Kernels;

}  // namespace expertmesh
