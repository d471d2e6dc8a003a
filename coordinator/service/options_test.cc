#include "coordinator/service/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

std::optional<int> Read(std::vector<const char*> arguments, CoordinatorFlags* flags) {
  arguments.insert(arguments.begin(), "expertmesh-coordinator");
  return ReadCoordinatorFlags(static_cast<int>(arguments.size()), arguments.data(), flags);
}

TEST(CoordinatorFlags, FillTheOptions) {
  CoordinatorFlags flags;
  ASSERT_EQ(Read({}, &flags), std::nullopt);
  EXPECT_EQ(flags.serving.listen.listen, "127.0.0.1:50051");
  EXPECT_EQ(flags.coordinator.lease, kLease);
  ASSERT_EQ(Read({"--initial-expert-workers", "3", "--lease-ms", "1500", "--listen", "0.0.0.0:7",
                  "--allow-insecure-listen"},
                 &flags),
            std::nullopt);
  EXPECT_EQ(flags.coordinator.initial_expert_workers, 3);
  EXPECT_EQ(flags.coordinator.lease, Milliseconds(1500));
}

TEST(CoordinatorFlags, ABadOneIsNamedWithExitCode2) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"--initial-expert-workers", "0"},
      {"--lease-ms", "999"},
      {"--lease-ms", "soon"},
      {"--listen", "0.0.0.0:7"},
      {"--drain-ms", "-1"},
      {"--metrics-listen", "unix:/x"},
      {"--metrics-listen", "0.0.0.0:9"},
      {"--max-connection-age-ms", "-1"},
  };
  for (const auto& [flag, value] : cases) {
    ::testing::internal::CaptureStderr();
    CoordinatorFlags flags;
    EXPECT_EQ(Read({flag, value}, &flags), kExitBadFlags) << flag;
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), ::testing::HasSubstr(flag));
  }
}

}  // namespace
}  // namespace expertmesh
