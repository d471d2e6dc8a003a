#include "model/cost.h"

namespace expertmesh {

RowCost CostOfRow(const ModelConfig& c) {
  const int64_t query_out = c.heads * c.query_dim();
  const int64_t query =
      c.q_lora_rank == 0 ? c.hidden * query_out : c.q_lora_rank * (c.hidden + query_out);
  const int64_t attention = query + c.hidden * c.latent_width() +
                            c.heads * (c.qk_nope_dim + c.v_dim) * c.kv_lora_rank +
                            c.heads * c.v_dim * c.hidden;
  const int64_t dense = 3 * c.hidden * c.dense_intermediate;
  const int64_t moe = c.hidden * c.routed_experts +
                      3 * c.hidden * c.expert_intermediate * (c.top_k + c.shared_experts);
  RowCost cost;
  cost.weights = c.layers * attention + (c.layers - c.moe_layers()) * dense + c.moe_layers() * moe;
  cost.per_position = c.layers * c.heads * (c.latent_width() + c.kv_lora_rank);
  return cost;
}

}  // namespace expertmesh
