#include "expert_worker/compute/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <filesystem>

#include "device/cpu/cpu_device.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

// The small model: layers 1 and 2 have 8 experts of 20 x 48.
constexpr int64_t kValues = 3 * 20 * 48;  // of one expert

ExpertSet Of(const ExpertGrid& grid, const std::vector<std::pair<int32_t, int32_t>>& experts) {
  ExpertSet set(grid);
  for (auto [layer, expert] : experts) set.Insert(layer, expert);
  return set;
}

class ShardTest : public testing::Test {
 protected:
  std::unique_ptr<Checkpoint> Open(const CheckpointFolder& folder) {
    auto checkpoint = Checkpoint::Open(folder.path());
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return *std::move(checkpoint);
  }
  absl::StatusOr<LoadedExperts> Load(const Checkpoint& checkpoint, const ExpertSet& experts,
                                     bool widen = false) {
    progress_ = 0;
    return LoadExperts(checkpoint, experts, widen, device_, &progress_, cancelled_);
  }

  CpuDevice device_{{}};
  std::atomic<uint64_t> progress_{0};
  std::atomic<bool> cancelled_{false};
};

// Element (row, column) of a packed matrix, as f32.
float At(const PackedLinear& packed, int64_t row, int64_t column) {
  const int64_t i = row * packed.k_stride + column;
  return packed.dtype == DType::kF32 ? static_cast<const float*>(packed.data)[i]
                                     : Bf16ToF32(static_cast<const uint16_t*>(packed.data)[i]);
}

void ExpectHolds(const Checkpoint& checkpoint, const std::string& name,
                 const PackedLinear& packed) {
  const auto values = checkpoint.ReadF32(name);
  ASSERT_TRUE(values.ok()) << values.status();
  const std::vector<int64_t>& shape = checkpoint.tensor(name).shape;
  ASSERT_EQ(packed.n, shape[0]);
  ASSERT_EQ(packed.k, shape[1]);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(packed.data) % 64, 0u);
  for (int64_t row = 0; row < packed.n; ++row) {
    for (int64_t k = 0; k < packed.k; ++k) {
      ASSERT_EQ(std::bit_cast<uint32_t>(At(packed, row, k)),
                std::bit_cast<uint32_t>((*values)[row * packed.k + k]))
          << name << " " << row << ", " << k;
    }
    for (int64_t k = packed.k; k < packed.k_stride; ++k) ASSERT_EQ(At(packed, row, k), 0);
  }
}

TEST_F(ShardTest, ReadsWhatIsAskedForAndNothingElse) {
  const CheckpointFolder folder({.shards = 3});
  const auto checkpoint = Open(folder);
  const ExpertGrid grid = GridOf(checkpoint->config());
  EXPECT_EQ(grid, (ExpertGrid{1, 2, 8}));
  const auto loaded = Load(*checkpoint, Of(grid, {{1, 3}, {2, 0}, {2, 7}}));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(progress_, 3u * kValues * 2) << "bytes read";
  for (const LoadedExpert& entry : *loaded) {
    EXPECT_EQ(entry.memory.bytes(), ExpertBytes(*checkpoint, false));
  }
  ASSERT_EQ(loaded->size(), 3u);
  const std::pair<int32_t, int32_t> expected[] = {{1, 3}, {2, 0}, {2, 7}};
  for (size_t i = 0; i < 3; ++i) {
    const LoadedExpert& entry = (*loaded)[i];
    EXPECT_EQ(std::pair(entry.layer, entry.expert), expected[i]);
    using names::Ffn;
    ExpectHolds(*checkpoint, names::Expert(entry.layer, entry.expert, Ffn::kGate),
                entry.weights.gate);
    ExpectHolds(*checkpoint, names::Expert(entry.layer, entry.expert, Ffn::kUp), entry.weights.up);
    ExpectHolds(*checkpoint, names::Expert(entry.layer, entry.expert, Ffn::kDown),
                entry.weights.down);
  }
}

TEST_F(ShardTest, HoldsEveryStoredTypeWithItsBits) {
  for (DType dtype : {DType::kBf16, DType::kF16, DType::kF32}) {
    for (bool widen : {false, true}) {
      SCOPED_TRACE(std::string(Name(dtype)) + (widen ? ", widened" : ""));
      const CheckpointFolder folder({.dtype = dtype});
      const auto checkpoint = Open(folder);
      const auto loaded = Load(*checkpoint, Of(GridOf(checkpoint->config()), {{2, 5}}), widen);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      EXPECT_EQ(loaded->front().memory.bytes(), ExpertBytes(*checkpoint, widen));
      EXPECT_EQ(loaded->front().weights.gate.dtype, PackedDType(dtype, widen));
      ExpectHolds(*checkpoint, names::Expert(2, 5, names::Ffn::kDown),
                  loaded->front().weights.down);
    }
  }
}

TEST_F(ShardTest, SaysBeforehandHowMuchAnExpertTakes) {
  const CheckpointFolder folder;
  const auto checkpoint = Open(folder);
  // Rows of 48 and of 20 values, the latter padded to 32.
  EXPECT_EQ(ExpertBytes(*checkpoint, false), 2u * (20 * 48 + 20 * 48 + 48 * 32));
  EXPECT_EQ(ExpertBytes(*checkpoint, true), 4u * (20 * 48 + 20 * 48 + 48 * 32));
}

TEST_F(ShardTest, AModelWithoutRoutedExpertsHasAnEmptyGrid) {
  ModelConfig config = SmallModelConfig();
  config.first_moe_layer = config.layers;
  EXPECT_EQ(GridOf(config), ExpertGrid());
  const CheckpointFolder folder({}, config);
  EXPECT_EQ(ExpertBytes(*Open(folder), false), 0u);
}

TEST_F(ShardTest, FindsWhatItHoldsByLayerAndExpert) {
  const CheckpointFolder folder;
  const auto checkpoint = Open(folder);
  const ExpertGrid grid = GridOf(checkpoint->config());
  Shard shard(grid);
  for (int32_t layer : {1, 2}) {
    ASSERT_EQ(shard.Layer(layer).size(), 8u);
    for (const ExpertWeights* weights : shard.Layer(layer)) EXPECT_EQ(weights, nullptr);
  }
  auto first = Load(*checkpoint, Of(grid, {{1, 3}, {2, 0}}));
  ASSERT_TRUE(first.ok()) << first.status();
  shard.Add(*std::move(first));
  const ExpertWeights* of_1_3 = shard.Layer(1)[3];
  auto second = Load(*checkpoint, Of(grid, {{1, 0}, {2, 7}}));
  ASSERT_TRUE(second.ok()) << second.status();
  shard.Add(*std::move(second));

  EXPECT_EQ(shard.Layer(1)[3], of_1_3) << "what was there stays where it was";
  const ExpertSet held = Of(grid, {{1, 3}, {2, 0}, {1, 0}, {2, 7}});
  for (int32_t layer : {1, 2}) {
    for (int32_t expert = 0; expert < 8; ++expert) {
      const ExpertWeights* weights = shard.Layer(layer)[expert];
      ASSERT_EQ(weights != nullptr, held.Contains(layer, expert)) << layer << ", " << expert;
      if (weights == nullptr) continue;
      ExpectHolds(*checkpoint, names::Expert(layer, expert, names::Ffn::kUp), weights->up);
    }
  }
}

TEST_F(ShardTest, StopsWhenTold) {
  const CheckpointFolder folder;
  const auto checkpoint = Open(folder);
  cancelled_ = true;
  const auto loaded = Load(*checkpoint, ExpertSet::Full(GridOf(checkpoint->config())));
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(progress_, 0u);
}

TEST_F(ShardTest, AFileThatIsCutShortAfterOpenIsDataLossByName) {
  const CheckpointFolder folder;
  const auto checkpoint = Open(folder);
  const ExpertGrid grid = GridOf(checkpoint->config());
  const std::string name = names::Expert(2, 4, names::Ffn::kUp);
  std::filesystem::resize_file(folder.File("model.safetensors"),
                               checkpoint->tensor(name).offset + 7);
  const auto loaded = Load(*checkpoint, Of(grid, {{2, 4}}));
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("model.safetensors"));
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr(name));
}

}  // namespace
}  // namespace expertmesh
