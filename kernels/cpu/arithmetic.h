// arithmetic.h: the whole arithmetic of class cpu-f32, written once over a vector V of 16 lanes. A
// file per instruction set includes it with its Lanes type and defines its table, nothing else.
#pragma once

#include "kernels/cpu/attention.h"
#include "kernels/cpu/dot.h"
#include "kernels/cpu/micro_kernels.h"
#include "kernels/cpu/row_ops.h"

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

template <typename V>
constexpr MicroKernels TableOf(const char* isa) {
  return {
      .isa = isa,
      .dot_bf16 = Dot<V, Bf16Weights<V>>,
      .dot_f32 = Dot<V, F32Weights<V>>,
      .attention = Attention<V>,
      .rms_norm = RmsNorm<V>,
      .rope = Rope<V>,
      .swiglu = SwiGlu<V>,
      .combine = Combine<V>,
      .add = Add<V>,
      .softmax = Softmax<V>,
      .maximum = Maximum<V>,
      .sum_exp = SumExp<V>,
  };
}

}  // namespace
}  // namespace expertmesh
