// config.h: what a DeepSeek-V2 or V3 checkpoint says of itself in config.json, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

// YaRN as config.json spells it; absent means plain RoPE.
struct YarnConfig {
  double factor = 1;
  int64_t original_max_position = 0;
  double beta_fast = 32;
  double beta_slow = 1;
  double mscale = 0;            // 0: absent
  double mscale_all_dim = 0;    // 0: absent
  double attention_factor = 0;  // 0: absent; else the factor of cos and sin
  bool truncate = true;         // floor and ceil of the ramp's bounds
};

// What stands on top of the layers, by `architectures`.
enum class Architecture {
  kCausalLm,                // lm_head: next-token logits
  kModel,                   // nothing: the final hidden states are the answer
  kSequenceClassification,  // score: one row of class logits for a whole prompt
};

// kNoAux is DeepSeek-V3's: sigmoid scores, and a bias that only chooses.
enum class GateMethod { kGreedy, kGroupLimitedGreedy, kNoAux };

// Field names follow config.json where they say enough. Every size is at least 1 unless it says.
struct ModelConfig {
  Architecture architecture = Architecture::kCausalLm;
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t q_lora_rank = 0;  // 0: a single q_proj
  int64_t kv_lora_rank = 0;
  int64_t qk_nope_dim = 0;
  int64_t qk_rope_dim = 0;  // even
  int64_t v_dim = 0;
  int64_t dense_intermediate = 0;
  int64_t expert_intermediate = 0;
  int64_t routed_experts = 0;
  int64_t shared_experts = 0;  // 0: none
  int64_t top_k = 0;
  int64_t first_moe_layer = 0;  // layers below are dense; may equal `layers`
  GateMethod gate_method = GateMethod::kGreedy;
  int64_t groups = 1;
  int64_t groups_kept = 1;
  double routed_scaling = 1;
  bool renormalise_gate = false;  // kNoAux alone: the chosen weights are divided by their sum
  double rms_eps = 1e-6;  // of the three norms of width hidden; the latent norms have 1e-6 always
  double rope_theta = 10000;
  double rope_divisor = 1;  // of all frequencies: linear rope scaling
  std::optional<YarnConfig> yarn;
  int64_t max_position = 0;
  bool attention_bias = false;  // q_a_proj, kv_a_proj_with_mqa and o_proj have one
  bool fp8_weights = false;     // matrices may be F8_E4M3, with a scale for each 128 x 128
  bool tied_head = false;
  std::vector<std::string> labels;      // kSequenceClassification alone: the classes' names
  std::optional<int32_t> pad_token_id;  // which a classifier does not look at
  std::vector<int32_t> eos_token_ids;   // of the vocabulary; generation_config.json's, else
                                        // config.json's; may be empty

  int64_t query_dim() const { return qk_nope_dim + qk_rope_dim; }
  int64_t latent_width() const { return kv_lora_rank + qk_rope_dim; }
  bool is_moe(int64_t layer) const { return layer >= first_moe_layer; }
  int64_t moe_layers() const { return layers - first_moe_layer; }
  bool has_lm_head() const { return architecture == Architecture::kCausalLm; }
};

// fp8 weights have a scale for each block of so many rows and columns.
inline constexpr int64_t kFp8Block = 128;

// Reads config.json's text. Sizes and numbers must stand there: readers disagree on the defaults.
// Rope in both spellings, `rope_theta` with `rope_scaling` and `rope_parameters`; of those, plain,
// linear, YaRN, and dynamic, which is plain up to max_position, where every context ends. What has
// one meaning when absent may be absent or null (n_shared_experts: null is 0); what does not matter
// to inference is ignored, torch_dtype too: each tensor has its own.
//
// Errors  INVALID_ARGUMENT: the field, the value found and what is expected. A field that we do not
//         honour and that would change the numbers is refused by name: in V2 norm_topk_prob true
//         is one (the published code renormalises and does not scale, transformers ignores it).
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json);

// The eos ids of generation_config.json's text, if it has any: ids below `vocabulary`. Errors as
// above.
absl::StatusOr<std::vector<int32_t>> ParseGenerationEos(absl::string_view json, int64_t vocabulary);

// (qk_nope_dim + qk_rope_dim)^-1/2 * m^2, m = 0.1 * mscale_all_dim * ln(factor) + 1 under YaRN with
// factor > 1 and mscale_all_dim; m = 1 otherwise. (YaRN paper, section 3.4.)
float SoftmaxScale(const ModelConfig& config);

}  // namespace expertmesh
