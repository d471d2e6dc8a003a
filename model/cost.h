// cost.h: how much this model computes for a token, from its config alone.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace expertmesh {

// Multiply-adds of one row in all layers, without embedding and head.
struct RowCost {
  // Whatever its position: one for each weight that it meets. kv_b_proj is met once, since MLA is
  // computed in its absorbed form (DeepSeek-V2 paper, section 2.1.2).
  int64_t weights = 0;
  // For each position that it attends to, itself included: a score over the latent width and a sum
  // over the latent, in every head.
  int64_t per_position = 0;
};
RowCost CostOfRow(const ModelConfig& config);

}  // namespace expertmesh
