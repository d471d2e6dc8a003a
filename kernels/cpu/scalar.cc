// Any processor.
#include "kernels/cpu/arithmetic.h"
#include "kernels/cpu/lanes_scalar.h"

namespace expertmesh {

constinit const MicroKernels kScalarKernels = TableOf<LanesScalar>("scalar");

}  // namespace expertmesh
