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

std::string Grouped(int64_t number);         // "15,706,484,224"
std::string InBytes(uint64_t bytes);         // "31.41 GB": three or four digits, in powers of 1000
std::string InBillions(int64_t parameters);  // "15.71 B"

}  // namespace expertmesh
