#include "model/generation_config.h"

#include <limits>

#include "common/status.h"
#include "model/json_fields.h"

namespace expertmesh {

absl::StatusOr<GenerationConfig> ParseGenerationConfig(absl::string_view json) {
  ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonObject(json));
  JsonFields fields(object);
  GenerationConfig config;
  const auto number = [&](const char* name, double min, double max, std::optional<float>& target) {
    if (fields.Find(name) == nullptr) return;
    target = static_cast<float>(fields.Number(name, min, max));
  };
  const auto integer = [&](const char* name, int32_t min, std::optional<int32_t>& target) {
    if (fields.Find(name) == nullptr) return;
    target = static_cast<int32_t>(fields.Integer(name, min, std::numeric_limits<int32_t>::max()));
  };
  constexpr double kAboveZero = 1e-6, kLeastPenalty = 0.01, kMostPenalty = 100;
  config.do_sample = fields.BoolOr("do_sample", false);
  number("temperature", 0, 100, config.temperature);
  number("top_p", kAboveZero, 1, config.top_p);
  number("min_p", 0, 1, config.min_p);
  number("repetition_penalty", kLeastPenalty, kMostPenalty, config.repetition_penalty);
  integer("top_k", 0, config.top_k);
  integer("max_new_tokens", 1, config.max_new_tokens);
  RETURN_IF_ERROR(fields.status());
  return config;
}

}  // namespace expertmesh
