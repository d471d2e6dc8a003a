// Compiled for AVX2 and FMA (CMakeLists.txt); see LINKAGE in micro_kernels.h.
#include "kernels/cpu/arithmetic.h"
#include "kernels/cpu/lanes_avx2.h"

namespace expertmesh {

constinit const MicroKernels kAvx2Kernels = TableOf<LanesAvx2>("avx2");

}  // namespace expertmesh
