// stop_rule.h: when a generation ends: the part of a request's life that is pure arithmetic.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "generation/delta.h"
#include "generation/request.h"
#include "generation/stop_matcher.h"

namespace expertmesh {

// Counts output tokens and decides, at each, whether it was the last. None of the first min_tokens
// tokens ends a sequence but by max_tokens, and no stop string counts that begins in them.
class StopRule {
 public:
  StopRule(const GenerateRequest& request, const RequestLimits& limits);

  // The reason why token `id`, the next one made, ends the sequence; kNone if it does not. `bytes`
  // are what it adds to the text that stop strings are looked for in.
  FinishReason Accept(int32_t id, absl::string_view bytes);

  int32_t output_tokens() const { return output_tokens_; }
  std::optional<int32_t> stop_token_id() const { return stop_token_id_; }
  std::optional<std::string> stop_string() const { return stop_string_; }

 private:
  std::vector<int32_t> stop_ids_;
  std::vector<std::string> stops_;
  std::optional<StopMatcher> matcher_;  // of what comes after min_tokens
  int32_t min_tokens_;
  int32_t max_tokens_;
  int32_t output_tokens_ = 0;
  std::optional<int32_t> stop_token_id_;
  std::optional<std::string> stop_string_;
};

}  // namespace expertmesh
