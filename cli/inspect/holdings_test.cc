#include "cli/inspect/holdings.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using Counts = std::map<std::string, int64_t>;

Holdings Of(const CheckpointFolder& folder) {
  return HoldingsOf(*Checkpoint::Open(folder.path()).value());
}

// SmallModelConfig, with what its rows are padded to: hidden 48, 200 tokens, q_lora 24 (32), latent
// 32 + 8, 4 heads of 16 + 8 and 16, dense 96, experts of 20 (32), one shared, 8 routed in 2 layers.
TEST(Holdings, AreWhatAPenAndPaperSay) {
  const Holdings holdings = Of(CheckpointFolder());
  const RoleBytes& stored = holdings.stored;
  EXPECT_EQ(stored.of(TensorRole::kEmbedding), 200u * 48 * 2);
  EXPECT_EQ(stored.of(TensorRole::kHead), 200u * 48 * 2);
  EXPECT_EQ(stored.of(TensorRole::kAttention),
            3u * 2 * (24 * 48 + 96 * 24 + 40 * 48 + 128 * 32 + 48 * 64));
  EXPECT_EQ(stored.of(TensorRole::kDenseFfn), 3u * 96 * 48 * 2);
  EXPECT_EQ(stored.of(TensorRole::kGate), 2u * 8 * 48 * 2);
  EXPECT_EQ(stored.of(TensorRole::kSharedExperts), 2u * 3 * 20 * 48 * 2);
  EXPECT_EQ(stored.of(TensorRole::kRoutedExperts), 2u * 8 * 3 * 20 * 48 * 2);
  EXPECT_EQ(stored.of(TensorRole::kNorms), 2u * (3 * (48 + 48 + 24 + 32) + 48));
  EXPECT_EQ(stored.expert, 3u * 20 * 48 * 2);

  const RoleBytes& packed = holdings.packed;
  EXPECT_EQ(packed.of(TensorRole::kEmbedding), 200u * 48 * 2);
  EXPECT_EQ(packed.of(TensorRole::kAttention),
            3u * 2 * (24 * 48 + 96 * 32 + 40 * 48 + 128 * 16 + 64 * 32 + 48 * 64));
  EXPECT_EQ(packed.of(TensorRole::kGate), 2u * 8 * 48 * 4) << "always f32";
  EXPECT_EQ(packed.of(TensorRole::kNorms), 2 * stored.of(TensorRole::kNorms));
  EXPECT_EQ(packed.expert, 2u * (20 * 48 + 20 * 48 + 48 * 32));
  EXPECT_EQ(packed.of(TensorRole::kRoutedExperts), 16 * packed.expert);
  EXPECT_EQ(holdings.tensors_by_dtype, (Counts{{"BF16", 3 + 3 * 9 + 3 + 2 * (1 + 24 + 3)}}));
}

// Its keys are transposed, so other widths are padded than in the file.
TEST(Holdings, SplitKvBAsWorkersDo) {
  ModelConfig config = SmallModelConfig();
  const uint64_t before = Of(CheckpointFolder({}, config)).packed.of(TensorRole::kAttention);
  config.kv_lora_rank = 40;
  config.qk_nope_dim = 20;
  const Holdings holdings = Of(CheckpointFolder({}, config));
  // Query 28 rows a head for 24, latent 48 for 40; keys [4 * 40, 20 -> 32] for [4 * 32, 16], values
  // [4 * 16, 40 -> 48] for [4 * 16, 32].
  EXPECT_EQ(holdings.packed.of(TensorRole::kAttention) - before,
            3u * 2 * (16 * 32 + 8 * 48 + (160 * 32 - 128 * 16) + (64 * 48 - 64 * 32)));
}

TEST(Holdings, WidenEverythingButBf16) {
  const Holdings bf16 = Of(CheckpointFolder());
  const Holdings f16 = Of(CheckpointFolder({.dtype = DType::kF16, .f32_gate = true}));
  EXPECT_EQ(f16.stored.expert, bf16.stored.expert);
  EXPECT_EQ(f16.packed.expert, 2 * bf16.packed.expert);
  EXPECT_EQ(f16.packed.of(TensorRole::kGate), bf16.packed.of(TensorRole::kGate));
  EXPECT_EQ(f16.tensors_by_dtype, (Counts{{"F16", 87}, {"F32", 2}}));
}

TEST(Holdings, AreTheLargestExpertsWhereTheyDiffer) {
  const CheckpointFolder folder;
  const std::string name = names::Expert(2, 5, names::Ffn::kUp);
  folder.DropTensor("model.safetensors", name);
  folder.AddTensor("model.safetensors", name, "F32", {20, 48});
  const Holdings holdings = Of(folder);
  EXPECT_EQ(holdings.stored.expert, 20u * 48 * (2 + 4 + 2));
  EXPECT_EQ(holdings.packed.expert, 20u * 48 * (2 + 4) + 48 * 32 * 2);
  EXPECT_EQ(holdings.stored.of(TensorRole::kRoutedExperts), 16u * 3 * 20 * 48 * 2 + 20 * 48 * 2);
}

TEST(AssumedHoldings, AreThoseOfABf16Checkpoint) {
  for (bool tied : {false, true}) {
    ModelConfig config = SmallModelConfig();
    config.tied_head = tied;
    const Holdings real = Of(CheckpointFolder({}, config)), assumed = AssumedHoldings(config);
    EXPECT_EQ(assumed.stored.by_role, real.stored.by_role);
    EXPECT_EQ(assumed.packed.by_role, real.packed.by_role);
    EXPECT_EQ(assumed.packed.expert, real.packed.expert);
    EXPECT_EQ(assumed.tensors_by_dtype, real.tensors_by_dtype);
  }
}

TEST(AssumedHoldings, CountFp8WithItsScales) {
  ModelConfig config = SmallModelConfig();
  config.fp8_weights = true;
  config.gate_method = GateMethod::kNoAux;
  config.hidden = 129;  // two blocks
  const Holdings holdings = AssumedHoldings(config);
  EXPECT_EQ(holdings.stored.expert, 3u * (20 * 129 + 2 * 4));
  EXPECT_EQ(holdings.packed.expert, 4u * (20 * 144 + 20 * 144 + 129 * 32)) << "in f32";
  EXPECT_EQ(holdings.stored.of(TensorRole::kEmbedding), 200u * 129 * 2) << "stays bf16";
  EXPECT_EQ(holdings.stored.of(TensorRole::kGate), 2u * (8 * 129 * 2 + 8 * 4)) << "bf16 and f32";
  EXPECT_EQ(holdings.tensors_by_dtype,
            (Counts{{"BF16", 3 + 3 * 4 + 2}, {"F32", 2}, {"F8_E4M3", 3 * 5 + 3 + 2 * (24 + 3)}}));
}

}  // namespace
}  // namespace expertmesh
