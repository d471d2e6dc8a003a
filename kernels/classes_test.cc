#include "kernels/classes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "device/cpu/cpu_device.h"

namespace expertmesh {
namespace {

TEST(OpenClass, NamesWhatItDoesNotKnow) {
  CpuDevice device({});
  EXPECT_EQ(OpenClass("cpu-f64", device).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenClass(kCpuF32, device, "mmx").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(OpenClass, OpensEverySupportedIsaAndRefusesTheOthers) {
  CpuDevice device({});
  const std::vector<absl::string_view> supported = SupportedIsas();
  ASSERT_FALSE(supported.empty());
  EXPECT_EQ(supported.back(), "scalar");
  EXPECT_TRUE(OpenClass(kCpuF32, device).ok());
  for (absl::string_view isa : {"scalar", "avx2", "avx512"}) {
    const bool here = std::find(supported.begin(), supported.end(), isa) != supported.end();
    EXPECT_EQ(OpenClass(kCpuF32, device, isa).status().code(),
              here ? absl::StatusCode::kOk : absl::StatusCode::kFailedPrecondition);
  }
}

// The bits of class cpu-f32. A change here is a new arithmetic: replicas of both must not mix, and
// every golden of the project changes with it.
constexpr uint64_t kFingerprint = 2961096513330868562;

TEST(Fingerprint, IsTheSameForEveryIsaAndThreadCount) {
  for (int threads : {1, 2, 3}) {
    CpuDevice device({.threads = threads});
    for (absl::string_view isa : SupportedIsas()) {
      const auto kernels = OpenClass(kCpuF32, device, isa);
      ASSERT_TRUE(kernels.ok());
      const ComputeClass fingerprint = Fingerprint(kCpuF32, **kernels, device);
      EXPECT_EQ(fingerprint.name, "cpu-f32");
      EXPECT_EQ(fingerprint.fingerprint, kFingerprint) << isa << " with " << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace expertmesh
