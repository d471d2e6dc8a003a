// generation_config.h: what a checkpoint's generation_config.json recommends, checked.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

// What the file says, within the bounds of a request's own fields; nullopt where it is silent.
struct GenerationConfig {
  bool do_sample = false;
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<int32_t> max_new_tokens;
};

// Errors  INVALID_ARGUMENT: the field, the value found and what is expected.
absl::StatusOr<GenerationConfig> ParseGenerationConfig(absl::string_view json);

}  // namespace expertmesh
