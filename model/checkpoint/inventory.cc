#include "model/checkpoint/inventory.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

absl::Status Refuse(absl::string_view file, absl::string_view tensor, absl::string_view found,
                    absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": tensor ", Quote(tensor), ": found ", found, ", expected ", expected));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("shape [", absl::StrJoin(shape, ", "), "]");
}

std::optional<DType> WeightDType(absl::string_view name) {
  if (name == "BF16") return DType::kBf16;
  if (name == "F16") return DType::kF16;
  if (name == "F32") return DType::kF32;
  return std::nullopt;
}

// Whether `name` is of the form model.layers.N.* with N >= layers.
bool IsBeyondLastLayer(absl::string_view name, int64_t layers) {
  constexpr absl::string_view kPrefix = "model.layers.";
  if (!absl::StartsWith(name, kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  int64_t layer = 0;
  return absl::SimpleAtoi(name.substr(0, name.find('.')), &layer) && layer >= layers;
}

bool MayBeIgnored(absl::string_view name, const ModelConfig& config) {
  if (!absl::StartsWith(name, "model.") && !absl::StartsWith(name, "lm_head.")) return true;
  if (absl::EndsWith(name, ".rotary_emb.inv_freq")) return true;
  if (config.tied_head && name == names::Head()) return true;
  return IsBeyondLastLayer(name, config.layers);
}

}  // namespace

absl::Status Inventory::AddFile(const std::string& file, std::vector<SafetensorsEntry> entries) {
  const int number = static_cast<int>(files_.size());
  files_.push_back(file);
  for (SafetensorsEntry& entry : entries) {
    const std::string name = entry.name;
    auto [place, is_new] = found_.try_emplace(name, Found{number, std::move(entry)});
    if (!is_new)
      return Refuse(file, name, "it in " + files_[place->second.file] + " too", "it in one file");
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorInfo> Inventory::Take(const TensorSpec& spec) const {
  std::string file = files_.front();
  if (!shard_of_.empty()) {
    auto shard = shard_of_.find(spec.name);
    if (shard == shard_of_.end()) {
      return Refuse("model.safetensors.index.json", spec.name, "nothing in weight_map", "its file");
    }
    file = shard->second;
  }
  auto place = found_.find(spec.name);
  if (place == found_.end()) return Refuse(file, spec.name, "nothing", ShapeText(spec.shape));

  const Found& found = place->second;
  if (files_[found.file] != file) {
    return Refuse(file, spec.name, absl::StrCat("it in ", files_[found.file]),
                  "it here, as weight_map says");
  }
  if (found.entry.shape != spec.shape) {
    return Refuse(file, spec.name, ShapeText(found.entry.shape), ShapeText(spec.shape));
  }
  const std::optional<DType> dtype = WeightDType(found.entry.dtype);
  if (!dtype.has_value()) {
    return Refuse(file, spec.name, "dtype " + found.entry.dtype, "BF16, F16 or F32");
  }
  return TensorInfo{.dtype = *dtype,
                    .shape = found.entry.shape,
                    .file = found.file,
                    .offset = found.entry.offset,
                    .bytes = found.entry.bytes};
}

absl::Status Inventory::CheckRest(
    const ModelConfig& config, const std::map<std::string, TensorInfo, std::less<>>& taken) const {
  for (const auto& [name, found] : found_) {
    if (taken.contains(name) || MayBeIgnored(name, config)) continue;
    return Refuse(files_[found.file], name, ShapeText(found.entry.shape),
                  "no such tensor in a model of this config.json");
  }
  return absl::OkStatus();
}

}  // namespace expertmesh
