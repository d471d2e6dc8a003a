// request.h: what a request is, between client, front door and attention worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/clock.h"

namespace expertmesh {

// Who asks is known by this number: made by the front door, never reused within its life.
using RequestId = uint64_t;

// One generation. Plain values; bounds are in ValidateRequest.
struct GenerateRequest {
  std::string request_id;               // the caller's name for it, echoed; may be empty
  std::vector<int32_t> prompt;          // token ids, at least one, taken as they are
  int32_t max_tokens = 0;               // at least 1
  std::vector<int32_t> stop_token_ids;  // besides the model's own end-of-sequence ids
  bool ignore_eos = false;              // the model's end-of-sequence ids do not end it
  bool logprobs = false;                // report each output token's logprob
  int32_t top_logprobs = 0;             // and the most likely ids per output position
  bool prompt_logprobs = false;         // logprob of each prompt token after the first
  Time deadline = kNever;               // ended with DEADLINE_EXCEEDED when it passes
};

// What the model and the workers can take; reported by attention workers.
struct RequestLimits {
  int32_t vocabulary = 0;   // token ids are below it
  int32_t max_context = 0;  // prompt and output together
  std::vector<int32_t> eos_token_ids;
};

inline constexpr int32_t kMaxTopLogprobs = 1024;
inline constexpr int32_t kMaxStopTokenIds = 64;
inline constexpr int32_t kMaxRequestIdBytes = 128;

// OK, or INVALID_ARGUMENT with the field, the value and the bound. ValidateShape looks at what does
// not depend on the model, ValidateRequest at everything.
absl::Status ValidateShape(const GenerateRequest& request);
absl::Status ValidateRequest(const GenerateRequest& request, const RequestLimits& limits);

}  // namespace expertmesh
