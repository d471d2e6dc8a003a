#include "tests/support/golden_models.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"

namespace expertmesh {

std::vector<GoldenModel> GoldenModels(const std::string& source_folder, Architecture architecture) {
  std::vector<GoldenModel> models;
  for (const auto& entry : std::filesystem::directory_iterator(source_folder + "/tests/golden")) {
    std::ifstream golden(entry.path() / "golden.json");
    if (!golden) continue;
    const auto json = nlohmann::json::parse(golden);
    GoldenModel model;
    model.name = entry.path().filename().string();
    model.checkpoint = absl::StrCat(source_folder, "/", json.at("checkpoint").get<std::string>());
    std::ifstream file(model.checkpoint + "/config.json");
    auto config = ParseModelConfig(std::string(std::istreambuf_iterator<char>(file), {}));
    CHECK(config.ok(), absl::StrCat(model.checkpoint, ": ", config.status().ToString()));
    model.config = *std::move(config);
    if (model.config.architecture == architecture) models.push_back(std::move(model));
  }
  std::sort(models.begin(), models.end(),
            [](const GoldenModel& a, const GoldenModel& b) { return a.name < b.name; });
  return models;
}

}  // namespace expertmesh
