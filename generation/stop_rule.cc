#include "generation/stop_rule.h"

#include <algorithm>

namespace expertmesh {

StopRule::StopRule(const GenerateRequest& request, const RequestLimits& limits)
    : stop_ids_(EndingIds(request, limits)),
      stops_(request.stop),
      min_tokens_(request.min_tokens),
      max_tokens_(request.max_tokens) {}

FinishReason StopRule::Accept(int32_t id, absl::string_view bytes) {
  ++output_tokens_;
  if (output_tokens_ > min_tokens_) {
    if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) {
      stop_token_id_ = id;
      return FinishReason::kStop;
    }
    if (!matcher_.has_value()) matcher_.emplace(stops_);
    if (const auto match = matcher_->Push(bytes)) {
      stop_string_ = stops_[match->stop];
      return FinishReason::kStop;
    }
  }
  return output_tokens_ >= max_tokens_ ? FinishReason::kLength : FinishReason::kNone;
}

}  // namespace expertmesh
