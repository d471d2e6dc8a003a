// words.h: how reports spell what a config says.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "cli/inspect/inspection.h"

namespace expertmesh {

std::string ArchitectureName(const Inspection& inspection);  // "DeepseekV2ForCausalLM"
std::string MethodName(GateMethod method);                   // "noaux_tc"
std::string ScoresName(GateMethod method);                   // "sigmoid"
std::string RopeName(const ModelConfig& config);             // "yarn"

}  // namespace expertmesh
