// stop_rule.h: when a generation ends: the part of a request's life that is pure arithmetic.
#pragma once

#include <optional>

#include "generation/delta.h"
#include "generation/request.h"

namespace expertmesh {

// Counts output tokens and decides, at each, whether it was the last.
class StopRule {
 public:
  StopRule(const GenerateRequest& request, const RequestLimits& limits);

  // The reason why token `id`, the next one made, ends the sequence; kNone if it does not.
  FinishReason Accept(int32_t id);

  int32_t output_tokens() const { return output_tokens_; }
  std::optional<int32_t> stop_token_id() const { return stop_token_id_; }

 private:
  std::vector<int32_t> stop_ids_;
  int32_t max_tokens_;
  int32_t output_tokens_ = 0;
  std::optional<int32_t> stop_token_id_;
};

}  // namespace expertmesh
