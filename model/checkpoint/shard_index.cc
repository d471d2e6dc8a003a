#include "model/checkpoint/shard_index.h"

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

// No separators (the suffix rules ".." out), and no NUL, at which the system would cut the name.
bool IsShardName(absl::string_view name) {
  return absl::EndsWith(name, ".safetensors") &&
         name.find_first_of(absl::string_view("/\\\0", 3)) == absl::string_view::npos;
}

}  // namespace

absl::StatusOr<ShardMap> ParseShardIndex(absl::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json document, ParseJsonObject(text));
  JsonFields fields(document);
  const nlohmann::json* weight_map = fields.Find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object() || weight_map->empty()) {
    fields.Refuse("weight_map", "an object of tensor names and file names");
    return fields.status();
  }
  ShardMap file_of;
  std::set<std::string> files;
  for (auto item = weight_map->begin(); item != weight_map->end(); ++item) {
    if (!item->is_string() || !IsShardName(item->get_ref<const std::string&>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quote(item.key()), ": found file ", Excerpt(*item),
                       ", expected the name of a .safetensors file in this folder"));
    }
    files.insert(item->get<std::string>());
    file_of.emplace(item.key(), item->get<std::string>());
  }
  if (files.size() > kShardsMax) {
    return absl::InvalidArgumentError(absl::StrCat("field weight_map: found ", files.size(),
                                                   " files, expected at most ", kShardsMax));
  }
  return file_of;
}

}  // namespace expertmesh
