#include "kernels/classes.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/isa.h"

namespace expertmesh {

absl::StatusOr<std::unique_ptr<Kernels>> OpenClass(absl::string_view name, Device& device,
                                                   absl::string_view isa) {
  if (name != kCpuF32) {
    return absl::InvalidArgumentError(
        absl::StrCat("compute class \"", name, "\" is unknown; there is \"", kCpuF32, "\""));
  }
  const absl::Span<const absl::string_view> known = KnownIsas();
  if (isa != "auto" && std::find(known.begin(), known.end(), isa) == known.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("isa \"", isa, "\" is unknown; there are auto, ", absl::StrJoin(known, ", ")));
  }
  if (device.memory_kind() != MemoryKind::kHost) {
    return absl::FailedPreconditionError(
        absl::StrCat("compute class \"", kCpuF32, "\" needs a device with host memory"));
  }
  const MicroKernels* micro = FindMicroKernels(isa == "auto" ? SupportedIsas().front() : isa);
  if (micro == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("this processor or its operating system lacks isa \"", isa, "\"; it has ",
                     absl::StrJoin(SupportedIsas(), ", ")));
  }
  return NewCpuKernels(*micro);
}

std::vector<absl::string_view> SupportedIsas() {
  std::vector<absl::string_view> isas;
  for (absl::string_view isa : KnownIsas()) {
    if (FindMicroKernels(isa) != nullptr) isas.push_back(isa);
  }
  return isas;
}

}  // namespace expertmesh
