// weights.h: all tensors of the model but the routed experts, packed for one compute class.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "device/device.h"
#include "kernels/pack.h"
#include "model/checkpoint/checkpoint.h"

namespace expertmesh {

// gate, up: [intermediate, hidden]; down: [hidden, intermediate].
struct FfnWeights {
  PackedLinear gate, up, down;
};

// H heads, dn = qk_nope_dim, dr = qk_rope_dim, dv = v_dim, dc = kv_lora_rank, h = hidden.
struct LayerWeights {
  const float* input_norm = nullptr;           // [h]
  const float* post_attention_norm = nullptr;  // [h]
  PackedLinear query;                          // [H * (dn + dr), h]; without q_lora only
  PackedLinear query_a;                        // [q_lora, h]
  const float* query_a_norm = nullptr;         // [q_lora]
  PackedLinear query_b;                        // [H * (dn + dr), q_lora]
  PackedLinear kv_a;                           // [dc + dr, h]
  const float* kv_a_norm = nullptr;            // [dc]
  PackedLinear key_up;                         // per head [dc, dn]: kv_b's key half, transposed
  PackedLinear value_up;                       // per head [dv, dc]: kv_b's value half
  PackedLinear output;                         // [h, H * dv]
  const float* query_a_bias = nullptr;         // [q_lora]; these three with attention_bias only
  const float* kv_a_bias = nullptr;            // [dc + dr]
  const float* output_bias = nullptr;          // [h]
  FfnWeights dense;                            // dense layers only
  PackedLinear router;                         // [experts, h] f32; MoE layers only
  const float* router_bias = nullptr;          // [experts]; with kNoAux only
  FfnWeights shared;                           // MoE layers of models with shared experts
};

struct AttentionWeights {
  PackedLinear embedding;             // [vocabulary, h]
  PackedLinear head;                  // [vocabulary, h]; the embedding itself when tied; or none
  PackedLinear score;                 // [labels, h]; classifiers only
  const float* final_norm = nullptr;  // [h]
  std::vector<LayerWeights> layers;
  std::vector<Buffer> memory;  // what all of the above points into
};

// Bytes, as they are read, of all matrices but the routed experts': what `progress` below counts up
// to.
uint64_t AttentionMatrixBytes(const Checkpoint& checkpoint);

// Reads and packs; the peak is the packed size and a little. `progress` counts bytes packed. Any
// thread. Vectors (norms, biases, the gate's bias that only chooses) must be finite: no later
// result would show a bias that is not. Matrices are Forward's self-test to judge.
// Errors  those of Checkpoint; DATA_LOSS also: a vector's value is not finite; CANCELLED;
//         RESOURCE_EXHAUSTED: no memory.
absl::StatusOr<AttentionWeights> LoadAttentionWeights(const Checkpoint& checkpoint, bool widen,
                                                      Device& device,
                                                      std::atomic<uint64_t>* progress,
                                                      const std::atomic<bool>& cancelled);

}  // namespace expertmesh
