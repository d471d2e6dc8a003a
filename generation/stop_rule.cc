#include "generation/stop_rule.h"

#include <algorithm>

namespace expertmesh {

StopRule::StopRule(const GenerateRequest& request, const RequestLimits& limits)
    : stop_ids_(request.stop_token_ids), max_tokens_(request.max_tokens) {
  if (!request.ignore_eos) {
    stop_ids_.insert(stop_ids_.end(), limits.eos_token_ids.begin(), limits.eos_token_ids.end());
  }
}

FinishReason StopRule::Accept(int32_t id) {
  ++output_tokens_;
  if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) {
    stop_token_id_ = id;
    return FinishReason::kStop;
  }
  return output_tokens_ >= max_tokens_ ? FinishReason::kLength : FinishReason::kNone;
}

}  // namespace expertmesh
