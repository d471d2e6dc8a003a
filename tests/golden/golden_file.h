// golden_file.h: what the oracle (tools/oracle.py) wrote for one case, read back.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace expertmesh {

struct GoldenTensor {
  std::vector<int64_t> shape;
  std::vector<float> f32;  // one of the two, by dtype
  std::vector<int32_t> i32;
};

struct GoldenPrompt {
  std::vector<int32_t> token_ids;
  std::vector<int32_t> greedy_token_ids;
  std::vector<int32_t> kept_positions;  // which positions the rows of hidden.* and logits are
};

struct GoldenCase {
  std::string checkpoint;  // folder
  std::vector<GoldenPrompt> prompts;
  std::map<std::string, GoldenTensor> tensors;  // "p<prompt>.<what>"
};

// `folder` has golden.json and golden.safetensors.
absl::StatusOr<GoldenCase> ReadGolden(const std::string& folder);

}  // namespace expertmesh
