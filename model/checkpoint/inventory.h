// inventory.h: the tensors that a checkpoint's files have, and whether a model can take them.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/shard_index.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace expertmesh {

// Files are known by their place in `files`, the list of their names.
class Inventory {
 public:
  // `shard_of` is the index's weight_map; empty for a checkpoint of one file without an index.
  // `bare`: names may lack their `model.`.
  Inventory(ShardMap shard_of, bool bare);

  // Adds one file's tensors. Errors  INVALID_ARGUMENT: another file has one of them too.
  absl::Status AddFile(const std::string& file, std::vector<SafetensorsEntry> entries);

  // The tensor that `spec` asks for, with its scales where it is in fp8, which `fp8` permits of
  // matrices. Errors  INVALID_ARGUMENT: it is not there or not in the file that the index names, or
  // its shape or dtype is another.
  absl::StatusOr<TensorInfo> Take(const TensorSpec& spec, bool fp8);

  // Whether all tensors that were not taken may be ignored: checkpoint.h says which may.
  absl::Status CheckRest(const ModelConfig& config) const;

 private:
  struct Found {
    int file;
    SafetensorsEntry entry;
    bool taken = false;
  };

  std::string KnownName(absl::string_view name) const;
  absl::StatusOr<Found*> Find(const std::string& name, const std::vector<int64_t>& shape);
  absl::StatusOr<TensorInfo> TakeFp8(const TensorSpec& spec, Found& found);

  const bool bare_;
  ShardMap shard_of_;
  std::vector<std::string> files_;
  std::map<std::string, Found, std::less<>> found_;
};

}  // namespace expertmesh
