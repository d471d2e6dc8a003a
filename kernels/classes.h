// classes.h: compute classes: which arithmetics there are, and how one is told from another.
//
// A compute class is an arithmetic, not an instruction set: `cpu-f32` gives the same bits from
// plain code, AVX2 and AVX-512. Its fingerprint hashes what every op gives on fixed inputs on this
// very machine: the same name with another hash is another class (another compiler, a bug), and
// workers of unlike classes never share an expert.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids.h"
#include "device/device.h"
#include "kernels/ops.h"

namespace expertmesh {

inline constexpr absl::string_view kCpuF32 = "cpu-f32";

// The kernels of `name` on `device`. `isa` picks how they are made: "auto" (the best that this
// machine has), or "scalar", "avx2", "avx512".
// Errors  INVALID_ARGUMENT: unknown class or isa; FAILED_PRECONDITION: this processor lacks it.
absl::StatusOr<std::unique_ptr<Kernels>> OpenClass(absl::string_view name, Device& device,
                                                   absl::string_view isa = "auto");

// The values of `isa` that OpenClass accepts here, best first; "scalar" is always there.
std::vector<absl::string_view> SupportedIsas();

// Runs every op on fixed inputs (< 100 ms) and hashes the bits. The hash does not depend on isa,
// thread count or machine, as long as the promise holds.
ComputeClass Fingerprint(absl::string_view name, const Kernels& kernels, Device& device);

}  // namespace expertmesh
