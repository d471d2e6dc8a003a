#include "tests/golden/golden_file.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/checkpoint/safetensors.h"

namespace expertmesh {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

absl::StatusOr<GoldenCase> ReadGolden(const std::string& folder) {
  GoldenCase golden;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + "/golden.json"));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::DataLossError(absl::StrCat(folder, "/golden.json"));
  golden.checkpoint =
      absl::StrCat(EXPERTMESH_SOURCE_DIR "/", json.at("checkpoint").get<std::string>());
  for (const auto& prompt : json.at("prompts")) {
    golden.prompts.push_back({prompt.at("token_ids").get<std::vector<int32_t>>(),
                              prompt.at("greedy_token_ids").get<std::vector<int32_t>>(),
                              prompt.at("kept_positions").get<std::vector<int32_t>>()});
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(folder + "/golden.safetensors"));
  ASSIGN_OR_RETURN(auto entries, ParseSafetensorsHeader(bytes, bytes.size()));
  for (const SafetensorsEntry& entry : entries) {
    GoldenTensor& tensor = golden.tensors[entry.name];
    tensor.shape = entry.shape;
    if (entry.bytes == 0) continue;  // a prompt of one token has no prompt logprobs
    const char* data = bytes.data() + entry.offset;
    if (entry.dtype == "I32") {
      tensor.i32.resize(entry.bytes / sizeof(int32_t));
      std::memcpy(tensor.i32.data(), data, entry.bytes);
    } else {
      tensor.f32.resize(entry.bytes / sizeof(float));
      std::memcpy(tensor.f32.data(), data, entry.bytes);
    }
  }
  return golden;
}

}  // namespace expertmesh
