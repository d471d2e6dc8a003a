// Compiled for AVX-512 F, BW, DQ, VL and FMA (CMakeLists.txt); see LINKAGE in micro_kernels.h.
#include "kernels/cpu/arithmetic.h"
#include "kernels/cpu/lanes_avx512.h"

namespace expertmesh {

constinit const MicroKernels kAvx512Kernels = TableOf<LanesAvx512>("avx512");

}  // namespace expertmesh
