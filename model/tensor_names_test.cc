#include "model/tensor_names.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/checkpoint_writer.h"

namespace expertmesh {
namespace {

std::map<std::string, std::vector<int64_t>> Shapes(const ModelConfig& config) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    EXPECT_TRUE(shapes.emplace(spec.name, spec.shape).second) << spec.name;
  }
  return shapes;
}

ModelConfig LiteSizes() {
  ModelConfig config;
  config.vocabulary = 102400;
  config.hidden = 2048;
  config.layers = 27;
  config.heads = 16;
  config.kv_lora_rank = 512;
  config.qk_nope_dim = 128;
  config.qk_rope_dim = 64;
  config.v_dim = 128;
  config.dense_intermediate = 10944;
  config.expert_intermediate = 1408;
  config.routed_experts = 64;
  config.shared_experts = 2;
  config.first_moe_layer = 1;
  return config;
}

int64_t Parameters(const ModelConfig& config) {
  int64_t total = 0;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    int64_t product = 1;
    for (int64_t size : spec.shape) product *= size;
    total += product;
  }
  return total;
}

TEST(RequiredTensors, AddUpToV2Lite) {
  EXPECT_EQ(RequiredTensors(LiteSizes()).size(), 5291u);
  EXPECT_EQ(Parameters(LiteSizes()), 15'706'484'224);
}

TEST(RequiredTensors, AddUpToV2) {
  ModelConfig config = LiteSizes();
  config.hidden = 5120;
  config.layers = 60;
  config.heads = 128;
  config.q_lora_rank = 1536;
  config.dense_intermediate = 12288;
  config.expert_intermediate = 1536;
  config.routed_experts = 160;
  EXPECT_EQ(RequiredTensors(config).size(), 29102u);
  EXPECT_EQ(Parameters(config), 235'741'434'880);
}

TEST(RequiredTensors, HaveThePublishedNamesAndShapes) {
  const auto shapes = Shapes(LiteSizes());
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shapes.at("model.embed_tokens.weight"), (Shape{102400, 2048}));
  EXPECT_EQ(shapes.at("lm_head.weight"), (Shape{102400, 2048}));
  EXPECT_EQ(shapes.at("model.norm.weight"), (Shape{2048}));
  EXPECT_EQ(shapes.at("model.layers.26.input_layernorm.weight"), (Shape{2048}));
  EXPECT_EQ(shapes.at("model.layers.0.post_attention_layernorm.weight"), (Shape{2048}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.q_proj.weight"), (Shape{3072, 2048}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.kv_a_proj_with_mqa.weight"), (Shape{576, 2048}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.kv_a_layernorm.weight"), (Shape{512}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.kv_b_proj.weight"), (Shape{4096, 512}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.o_proj.weight"), (Shape{2048, 2048}));
  EXPECT_EQ(shapes.at("model.layers.0.mlp.down_proj.weight"), (Shape{2048, 10944}));
  EXPECT_EQ(shapes.at("model.layers.1.mlp.gate.weight"), (Shape{64, 2048}));
  EXPECT_EQ(shapes.at("model.layers.1.mlp.experts.63.up_proj.weight"), (Shape{1408, 2048}));
  EXPECT_EQ(shapes.at("model.layers.1.mlp.experts.0.down_proj.weight"), (Shape{2048, 1408}));
  EXPECT_EQ(shapes.at("model.layers.1.mlp.shared_experts.gate_proj.weight"), (Shape{2816, 2048}));
}

TEST(RequiredTensors, FollowTheConfig) {
  ModelConfig config = SmallModelConfig();
  EXPECT_TRUE(Shapes(config).contains("model.layers.0.self_attn.q_a_layernorm.weight"));
  EXPECT_FALSE(Shapes(config).contains("model.layers.0.self_attn.q_proj.weight"));
  config.tied_head = true;
  EXPECT_FALSE(Shapes(config).contains("lm_head.weight"));
  config.shared_experts = 0;
  EXPECT_FALSE(Shapes(config).contains("model.layers.1.mlp.shared_experts.up_proj.weight"));
  config.first_moe_layer = config.layers;
  EXPECT_FALSE(Shapes(config).contains("model.layers.2.mlp.gate.weight"));
}

}  // namespace
}  // namespace expertmesh
