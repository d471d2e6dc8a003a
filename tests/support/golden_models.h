// golden_models.h: the small checkpoints that tests/golden/ has goldens of: one of each kind of
// config.json and of file that we read.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace expertmesh {

struct GoldenModel {
  std::string name;
  std::string checkpoint;  // folder
  ModelConfig config;
};

// Those of one architecture, by name, in the source tree at `source_folder`. A folder that cannot
// be read is a failure of the program: tests are made of them before any test runs.
std::vector<GoldenModel> GoldenModels(const std::string& source_folder, Architecture architecture);

}  // namespace expertmesh
