// cpu_kernels.h: class cpu-f32 on a CpuDevice. Puts each op on the stream as one piece of work,
// which spreads it over the stream's threads and calls the micro kernels. How the work is cut
// depends on rows and threads; what is computed does not.
#pragma once

#include <memory>

#include "kernels/cpu/micro_kernels.h"
#include "kernels/ops.h"

namespace expertmesh {

// `micro` is one of isa.h's tables. Streams that ops are given to must be CpuStreams.
std::unique_ptr<Kernels> NewCpuKernels(const MicroKernels& micro);

}  // namespace expertmesh
