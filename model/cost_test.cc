#include "model/cost.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

TEST(CostOfRow, IsWhatAPenAndPaperSay) {
  ModelConfig c;
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
  c.shared_experts = 1;
  c.top_k = 2;
  c.first_moe_layer = 1;
  // query 98, latent 63, kv_b 90, output 84; dense 231; gate 119, three experts of 273.
  EXPECT_EQ(CostOfRow(c).weights, 3 * (98 + 63 + 90 + 84) + 231 + 2 * (119 + 3 * 273));
  EXPECT_EQ(CostOfRow(c).per_position, 3 * 2 * (9 + 5));
  c.q_lora_rank = 2;  // 14 and 28 in place of 98
  EXPECT_EQ(CostOfRow(c).weights, 3 * (42 + 63 + 90 + 84) + 231 + 2 * (119 + 3 * 273));
}

}  // namespace
}  // namespace expertmesh
