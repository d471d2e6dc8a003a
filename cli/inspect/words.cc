#include "cli/inspect/words.h"

#include "absl/strings/str_cat.h"

namespace expertmesh {

std::string ArchitectureName(const Inspection& inspection) {
  constexpr absl::string_view kHeads[] = {"ForCausalLM", "Model", "ForSequenceClassification"};
  return absl::StrCat(inspection.is_v3() ? "DeepseekV3" : "DeepseekV2",
                      kHeads[static_cast<size_t>(inspection.config.architecture)]);
}

std::string MethodName(GateMethod method) {
  switch (method) {
    case GateMethod::kGreedy:
      return "greedy";
    case GateMethod::kGroupLimitedGreedy:
      return "group_limited_greedy";
    case GateMethod::kNoAux:
      return "noaux_tc";
  }
  return "";
}

std::string ScoresName(GateMethod method) {
  return method == GateMethod::kNoAux ? "sigmoid" : "softmax";
}

// Dynamic rope is plain as far as we go.
std::string RopeName(const ModelConfig& config) {
  if (config.yarn.has_value()) return "yarn";
  return config.rope_divisor == 1 ? "plain" : "linear";
}

}  // namespace expertmesh
