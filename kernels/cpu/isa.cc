#include "kernels/cpu/isa.h"

namespace expertmesh {

absl::Span<const absl::string_view> KnownIsas() {
  static constexpr absl::string_view kIsas[] = {"avx512", "avx2", "scalar"};
  return kIsas;
}

// __builtin_cpu_supports also asks whether the operating system saves the wider registers (XCR0).
const MicroKernels* FindMicroKernels(absl::string_view isa) {
  if (isa == "scalar") return &kScalarKernels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("fma");
  if (isa == "avx2" && fma && __builtin_cpu_supports("avx2")) return &kAvx2Kernels;
  if (isa == "avx512" && fma && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return &kAvx512Kernels;
  }
#endif
  return nullptr;
}

}  // namespace expertmesh
