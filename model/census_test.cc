#include "model/census.h"

#include <gtest/gtest.h>

#include "model/tensor_names.h"
#include "tests/support/checkpoint_writer.h"

namespace expertmesh {
namespace {

ModelConfig PaperConfig() {
  ModelConfig c;
  c.vocabulary = 19;
  c.hidden = 7;
  c.layers = 3;
  c.heads = 2;
  c.q_lora_rank = 0;
  c.kv_lora_rank = 5;
  c.qk_nope_dim = 3;
  c.qk_rope_dim = 4;
  c.v_dim = 6;
  c.dense_intermediate = 11;
  c.expert_intermediate = 13;
  c.routed_experts = 17;
  c.shared_experts = 2;
  c.top_k = 4;
  c.first_moe_layer = 1;
  return c;
}

TEST(CountParameters, IsWhatAPenAndPaperSay) {
  ModelConfig c = PaperConfig();
  const Census census = CountParameters(c).value();
  // Query 2 * 7 * 7, latent 9 * 7, kv_b 2 * 9 * 5, output 7 * 12; an expert 3 * 7 * 13 = 273.
  EXPECT_EQ(census.of(TensorRole::kEmbedding), 133);
  EXPECT_EQ(census.of(TensorRole::kAttention), 3 * (98 + 63 + 90 + 84));
  EXPECT_EQ(census.of(TensorRole::kDenseFfn), 231);
  EXPECT_EQ(census.of(TensorRole::kGate), 2 * 119);
  EXPECT_EQ(census.of(TensorRole::kSharedExperts), 2 * 2 * 273);
  EXPECT_EQ(census.of(TensorRole::kRoutedExperts), 2 * 17 * 273);
  EXPECT_EQ(census.of(TensorRole::kNorms), 3 * (7 + 7 + 5) + 7);
  EXPECT_EQ(census.of(TensorRole::kHead), 133);
  EXPECT_EQ(census.total, 133 + 1005 + 231 + 238 + 1092 + 9282 + 64 + 133);
  EXPECT_EQ(census.active, 133 + 1005 + 231 + 238 + 1092 + 2 * 4 * 273 + 64 + 133);
  EXPECT_EQ(census.per_expert, 273);
  EXPECT_EQ(census.routed_experts, 34);
  EXPECT_EQ(LatentElementsPerToken(c), 27);

  c.q_lora_rank = 2;  // 14 and 28 in place of 98, and a norm of 2
  c.attention_bias = true;
  EXPECT_EQ(CountParameters(c)->of(TensorRole::kAttention),
            3 * (42 + 63 + 90 + 84) + 3 * (2 + 9 + 7));
  EXPECT_EQ(CountParameters(c)->of(TensorRole::kNorms), 3 * (7 + 7 + 5 + 2) + 7);
}

TEST(CountParameters, LeavesOutABiasThatOnlyChooses) {
  ModelConfig c = PaperConfig();
  const Census greedy = CountParameters(c).value();
  c.gate_method = GateMethod::kNoAux;
  const Census third = CountParameters(c).value();
  EXPECT_EQ(third.total, greedy.total);
  EXPECT_EQ(third.active, greedy.active);
  EXPECT_EQ(third.tensors, greedy.tensors + 2) << "but it is a tensor";
}

TEST(CountParameters, FollowsWhatStandsOnTop) {
  ModelConfig c = PaperConfig();
  const int64_t total = CountParameters(c)->total;
  c.tied_head = true;
  EXPECT_EQ(CountParameters(c)->total, total - 133) << "once";
  c.tied_head = false;
  c.architecture = Architecture::kModel;
  EXPECT_EQ(CountParameters(c)->total, total - 133);
  c.architecture = Architecture::kSequenceClassification;
  c.labels = {"a", "b", "c"};
  EXPECT_EQ(CountParameters(c)->of(TensorRole::kHead), 21);
}

TEST(CountParameters, CountsModelsOfOneKindOfLayer) {
  ModelConfig c = PaperConfig();
  c.first_moe_layer = 3;
  const Census dense = CountParameters(c).value();
  EXPECT_EQ(dense.active, dense.total);
  EXPECT_EQ(dense.per_expert, 0);
  c.first_moe_layer = 0;
  EXPECT_EQ(CountParameters(c)->of(TensorRole::kDenseFfn), 0);
  EXPECT_EQ(CountParameters(c)->routed_experts, 51);
}

TEST(CountParameters, CountsEveryTensorThatACheckpointMustHave) {
  const ModelConfig config = SmallModelConfig();
  const Census census = CountParameters(config).value();
  int64_t elements = 0;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    int64_t product = 1;
    for (int64_t size : spec.shape) product *= size;
    elements += product;
  }
  EXPECT_EQ(census.total, elements);
  EXPECT_EQ(census.tensors, static_cast<int64_t>(RequiredTensors(config).size()));
}

TEST(CountParameters, RefusesSizesOfNoModelAtOnce) {
  ModelConfig c = PaperConfig();
  c.layers = 4096;
  c.routed_experts = 65536;
  c.hidden = 1 << 20;
  EXPECT_TRUE(CountParameters(c).ok()) << "a list of its tensors would not fit a machine";
  c.expert_intermediate = 1 << 20;
  EXPECT_TRUE(absl::IsInvalidArgument(CountParameters(c).status()));
}

}  // namespace
}  // namespace expertmesh
