// shard_index.h: model.safetensors.index.json, which says what shard has what tensor.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

inline constexpr int kShardsMax = 1000;

using ShardMap = std::map<std::string, std::string, std::less<>>;  // tensor -> file

// Reads {"metadata": {...}, "weight_map": {tensor: file}}: the file of each tensor. Files are bare
// names that end in .safetensors, so that none lies outside the checkpoint's folder.
// Errors  INVALID_ARGUMENT: the field or tensor, found, expected.
absl::StatusOr<ShardMap> ParseShardIndex(absl::string_view text);

}  // namespace expertmesh
