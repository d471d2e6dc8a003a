// isa.h: which micro kernels this processor and its operating system can run.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/cpu/micro_kernels.h"

namespace expertmesh {

// Every instruction set that the project knows, best first: also those that this build lacks.
absl::Span<const absl::string_view> KnownIsas();

// The table for one of KnownIsas(); nullptr where this machine cannot run it.
const MicroKernels* FindMicroKernels(absl::string_view isa);

}  // namespace expertmesh
