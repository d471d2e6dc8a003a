#include "model/checkpoint/inventory.h"

#include <memory>
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
  const bool classifies = config.architecture == Architecture::kSequenceClassification;
  const bool ours = absl::StartsWith(name, "model.") || absl::StartsWith(name, "lm_head.") ||
                    (classifies && absl::StartsWith(name, "score."));
  if (!ours) return true;
  if (absl::EndsWith(name, ".rotary_emb.inv_freq")) return true;
  if ((config.tied_head || !config.has_lm_head()) && name == names::Head()) return true;
  return IsBeyondLastLayer(name, config.layers);
}

}  // namespace

Inventory::Inventory(ShardMap shard_of, bool bare) : bare_(bare) {
  for (auto& [name, file] : shard_of) shard_of_.emplace(KnownName(name), std::move(file));
}

std::string Inventory::KnownName(absl::string_view name) const {
  if (bare_) {
    for (absl::string_view begin : {"layers.", "embed_tokens.", "norm."}) {
      if (absl::StartsWith(name, begin)) return absl::StrCat("model.", name);
    }
  }
  return std::string(name);
}

absl::Status Inventory::AddFile(const std::string& file, std::vector<SafetensorsEntry> entries) {
  const int number = static_cast<int>(files_.size());
  files_.push_back(file);
  for (SafetensorsEntry& entry : entries) {
    const std::string name = entry.name;
    auto [place, is_new] = found_.try_emplace(KnownName(name), Found{number, std::move(entry)});
    if (!is_new)
      return Refuse(file, name, "it in " + files_[place->second.file] + " too", "it in one file");
  }
  return absl::OkStatus();
}

absl::StatusOr<Inventory::Found*> Inventory::Find(const std::string& name,
                                                  const std::vector<int64_t>& shape) {
  std::string file = files_.front();
  if (!shard_of_.empty()) {
    auto shard = shard_of_.find(name);
    if (shard == shard_of_.end()) {
      return Refuse("model.safetensors.index.json", name, "nothing in weight_map", "its file");
    }
    file = shard->second;
  }
  auto place = found_.find(name);
  if (place == found_.end()) return Refuse(file, name, "nothing", ShapeText(shape));

  Found& found = place->second;
  if (files_[found.file] != file) {
    return Refuse(file, name, absl::StrCat("it in ", files_[found.file]),
                  "it here, as weight_map says");
  }
  if (found.entry.shape != shape) {
    return Refuse(file, name, ShapeText(found.entry.shape), ShapeText(shape));
  }
  found.taken = true;
  return &found;
}

absl::StatusOr<TensorInfo> Inventory::Take(const TensorSpec& spec, bool fp8) {
  const bool is_fused =
      spec.fused.has_value() && !found_.contains(spec.name) && found_.contains(spec.fused->name);
  ASSIGN_OR_RETURN(Found * found, is_fused ? Find(spec.fused->name, spec.fused->shape)
                                           : Find(spec.name, spec.shape));
  const bool may_be_fp8 = fp8 && spec.shape.size() == 2 && !is_fused;
  if (may_be_fp8 && found->entry.dtype == "F8_E4M3") return TakeFp8(spec, *found);
  const std::optional<DType> dtype = WeightDType(found->entry.dtype);
  if (!dtype.has_value()) {
    return Refuse(files_[found->file], found->entry.name, "dtype " + found->entry.dtype,
                  may_be_fp8 ? "BF16, F16, F32 or F8_E4M3" : "BF16, F16 or F32");
  }
  TensorInfo info{.dtype = *dtype,
                  .shape = spec.shape,
                  .file = found->file,
                  .offset = found->entry.offset,
                  .bytes = found->entry.bytes};
  if (!is_fused) return info;
  info.offset += static_cast<uint64_t>(spec.fused->first_element) * SizeOf(*dtype);
  info.bytes = static_cast<uint64_t>(info.rows()) * info.row_bytes();
  return info;
}

absl::StatusOr<TensorInfo> Inventory::TakeFp8(const TensorSpec& spec, Found& found) {
  const auto blocks = [](int64_t n) { return (n + kFp8Block - 1) / kFp8Block; };
  const TensorSpec of_scale = {.name = spec.name + "_scale_inv",
                               .shape = {blocks(spec.shape[0]), blocks(spec.shape[1])}};
  ASSIGN_OR_RETURN(TensorInfo scale, Take(of_scale, /*fp8=*/false));
  return TensorInfo{.dtype = DType::kF32,
                    .shape = spec.shape,
                    .file = found.file,
                    .offset = found.entry.offset,
                    .bytes = found.entry.bytes,
                    .scale = std::make_shared<const TensorInfo>(std::move(scale))};
}

absl::Status Inventory::CheckRest(const ModelConfig& config) const {
  for (const auto& [name, found] : found_) {
    if (found.taken || MayBeIgnored(name, config)) continue;
    return Refuse(files_[found.file], found.entry.name, ShapeText(found.entry.shape),
                  "no such tensor in a model of this config.json");
  }
  return absl::OkStatus();
}

}  // namespace expertmesh
