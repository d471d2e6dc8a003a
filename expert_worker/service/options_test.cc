#include "expert_worker/service/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

std::optional<int> Read(std::vector<const char*> more, ExpertWorkerFlags* flags) {
  std::vector<const char*> all = {
      "expertmesh-expert-worker", "--name", "e1", "--model", "/", "--coordinator", "[::1]:50051"};
  all.insert(all.end(), more.begin(), more.end());
  return ReadExpertWorkerFlags(static_cast<int>(all.size()), all.data(), flags);
}

TEST(ExpertWorkerFlags, FillTheWorkersOptions) {
  ExpertWorkerFlags flags;
  ASSERT_EQ(Read({"--memory-bytes", "123456789012", "--max-pass-rows", "7", "--threads", "2",
                  "--dtype", "stored", "--listen", "[::1]:0"},
                 &flags),
            std::nullopt);
  EXPECT_EQ(flags.worker.name, "e1");
  EXPECT_EQ(flags.worker.memory_bytes, 123456789012u);
  EXPECT_EQ(flags.worker.max_pass_rows, 7);
  EXPECT_EQ(flags.worker.threads, 2);
  EXPECT_FALSE(flags.worker.widen);
}

TEST(ExpertWorkerFlags, ABadOneIsNamedWithExitCode2) {
  for (const char* flag : {"--max-pass-rows", "--memory-bytes", "--threads"}) {
    ::testing::internal::CaptureStderr();
    ExpertWorkerFlags flags;
    EXPECT_EQ(Read({flag, "-1"}, &flags), kExitBadFlags);
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), ::testing::HasSubstr(flag));
  }
}

}  // namespace
}  // namespace expertmesh
