// Hostile config.json and generation_config.json: each reader gives what its header promises, or
// INVALID_ARGUMENT. The input is given to all three.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "model/config.h"
#include "model/generation_config.h"
#include "model/rope.h"

namespace expertmesh {
namespace {

constexpr int64_t kAngledDimMax = 1024;  // tables of wider heads only cost the search time

void CheckSizes(const ModelConfig& config) {
  for (int64_t size : {config.vocabulary, config.hidden, config.layers, config.heads,
                       config.kv_lora_rank, config.qk_nope_dim, config.qk_rope_dim, config.v_dim,
                       config.dense_intermediate, config.expert_intermediate, config.routed_experts,
                       config.top_k, config.groups, config.groups_kept, config.max_position}) {
    CHECK(size >= 1, "every size is at least 1");
  }
  CHECK(config.q_lora_rank >= 0 && config.shared_experts >= 0, "0: none");
  CHECK(config.qk_rope_dim % 2 == 0, "rotated dimensions come in pairs");
  CHECK(0 <= config.first_moe_layer && config.first_moe_layer <= config.layers, "a layer, or all");
  CHECK(config.routed_experts % config.groups == 0, "groups are of one size");
  CHECK(config.groups_kept <= config.groups, "no more groups kept than there are");
  CHECK(config.top_k <= config.routed_experts / config.groups * config.groups_kept,
        "the gate can choose top_k experts");
}

void CheckNumbers(const ModelConfig& config) {
  CHECK(std::isfinite(config.routed_scaling) && config.routed_scaling > 0, "a scale");
  CHECK(std::isfinite(config.rms_eps) && config.rms_eps > 0, "an epsilon");
  const float scale = SoftmaxScale(config);
  CHECK(std::isfinite(scale) && scale > 0, "the softmax has a scale");
  if (config.qk_rope_dim > kAngledDimMax) return;
  const std::vector<float> frequencies = RopeFrequencies(config);
  CHECK(frequencies.size() == static_cast<size_t>(config.qk_rope_dim / 2), "one for each pair");
  for (float frequency : frequencies) CHECK(std::isfinite(frequency), "a frequency is a number");
  for (float value : RopeTable(config, 2)) CHECK(std::isfinite(value), "so is a cosine");
}

void CheckRecommended(const GenerationConfig& config) {
  const auto within = [](std::optional<float> value, float min, float max) {
    return !value || (min <= *value && *value <= max);
  };
  CHECK(within(config.temperature, 0, 100) && within(config.top_p, 1e-6f, 1) &&
            within(config.min_p, 0, 1) && within(config.repetition_penalty, 0.01f, 100),
        "within the bounds of a request");
  CHECK(!config.top_k || *config.top_k >= 0, "0: all");
  CHECK(!config.max_new_tokens || *config.max_new_tokens >= 1, "a token at least");
}

void ParseHostile(absl::string_view json) {
  const absl::StatusOr<ModelConfig> model = ParseModelConfig(json);
  const absl::StatusOr<GenerationConfig> generation = ParseGenerationConfig(json);
  const absl::StatusOr<std::vector<int32_t>> eos = ParseGenerationEos(json, 102400);
  for (const absl::Status& status : {model.status(), generation.status(), eos.status()}) {
    CHECK(status.ok() || absl::IsInvalidArgument(status), "a file is refused as one");
  }
  if (model.ok()) {
    CheckSizes(*model);
    CheckNumbers(*model);
    CHECK(eos.ok() && *eos == model->eos_token_ids, "both files are read alike");
  }
  if (generation.ok()) CheckRecommended(*generation);
  if (eos.ok()) {
    for (int32_t id : *eos) CHECK(id >= 0, "an id");
  }
}

}  // namespace
}  // namespace expertmesh

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expertmesh::ParseHostile(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
