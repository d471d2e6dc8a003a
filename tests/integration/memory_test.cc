// A worker holds its own tensors, and little else: peak memory near the packed size.
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/integration/process_cluster.h"
#include "tests/support/checkpoint_writer.h"

namespace expertmesh {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// 2 MoE layers x 64 experts x 3 x 512 x 512 x 2 bytes: 201 MB of experts.
ModelConfig LargeExperts() {
  ModelConfig config = SmallModelConfig();
  config.hidden = 512;
  config.heads = 4;
  config.layers = 3;
  config.first_moe_layer = 1;
  config.routed_experts = 64;
  config.expert_intermediate = 512;
  config.shared_experts = 1;
  config.top_k = 6;
  config.gate_method = GateMethod::kGreedy;
  config.groups = config.groups_kept = 1;
  return config;
}

// The program itself, its threads and activations; a sanitizer keeps books besides.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kProgramBytes = 128 * kMiB;
#else
constexpr size_t kProgramBytes = 64 * kMiB;
#endif

TEST(ExpertWorkerMemory, WithHalfOfTheExpertsPeaksNearHalfOfTheirBytes) {
  const std::string folder = testing::TempDir() + "/large_experts";
  const ModelConfig config = LargeExperts();
  const absl::Status written = WriteCheckpoint(folder, config);
  ASSERT_TRUE(written.ok()) << written;
  const size_t expert_bytes = config.moe_layers() * config.routed_experts * 3 * config.hidden *
                              config.expert_intermediate * 2;
  {
    ProcessCluster cluster({.model = folder, .attention_workers = 1, .expert_workers = 2});
    GenerateRequest request;
    for (int i = 0; i < 100; ++i) request.prompt.push_back(i);
    request.max_tokens = 8;
    request.ignore_eos = true;
    const absl::Status status = cluster.client().Generate(AsUser(request), [](const Delta&) {});
    EXPECT_TRUE(status.ok()) << status;
    for (const char* name : {"e1", "e2"}) {
      const size_t peak = cluster.process(name).PeakResidentBytes();
      std::printf("%s: peak %zu MiB; all experts are %zu MiB\n", name, peak / kMiB,
                  expert_bytes / kMiB);
      EXPECT_GT(peak, expert_bytes / 2);
      EXPECT_LE(peak, expert_bytes * 55 / 100 + kProgramBytes) << name;
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace expertmesh
