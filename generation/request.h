// request.h: what a request is, between client, front door and attention worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "generation/kept_answer.h"
#include "generation/sampling.h"

namespace expertmesh {

// Who asks is known by this number: made by the front door, never reused within its life.
using RequestId = uint64_t;

// What is told of a prompt, instead of going on with it. The final hidden states, after the last
// norm: of the last position, their mean over all positions, or all of them; or a classifier's
// logits.
enum class Pooling : uint8_t { kNone, kLast, kMean, kAll, kClasses };

// One sequence to be made by one attention worker: everything is said. Plain values; bounds are in
// ValidateRequest.
struct GenerateRequest {
  std::string request_id;               // the caller's name for it, echoed; may be empty
  std::vector<int32_t> prompt;          // token ids, at least one, taken as they are
  std::vector<int32_t> resumed;         // the output so far: as if made here before; may be empty
  SamplingParams sampling;              // how output ids are chosen; as it stands: greedily
  int32_t choice = 0;                   // which of the answers to this prompt: for its draws
  int32_t max_tokens = 0;               // at least 1; 0: not said, what the context has left
  int32_t default_max_tokens = 0;       // where it is not said: at most this; 0: no bound
  int32_t min_tokens = 0;               // before that many only max_tokens ends the output
  std::vector<std::string> stop;        // strings that end it
  bool special_tokens = false;          // stop strings are looked for in special tokens, too
  std::vector<int32_t> stop_token_ids;  // besides the model's own end-of-sequence ids
  bool ignore_eos = false;              // the model's end-of-sequence ids do not end it
  bool logprobs = false;                // report each output token's logprob
  int32_t top_logprobs = 0;             // and the most likely ids per output position
  bool prompt_logprobs = false;         // logprob of each prompt token after the first
  Pooling pooling = Pooling::kNone;  // else nothing is generated: the prompt alone is asked about
  bool normalise = false;            // hidden states are scaled to length 1
  int32_t priority = 0;              // higher goes first
  std::string caller;                // who asks: of one level, who got least goes first
  std::string cache_salt;            // only requests of one salt share latents
  // The answer is kept for a while if nobody listens any more; `worker` is whom to ask first.
  std::optional<KeptAnswer> kept;
  Time deadline = kNever;  // ended with DEADLINE_EXCEEDED when it passes
  bool operator==(const GenerateRequest&) const = default;
};

// What the model and the workers can take; reported by attention workers.
struct RequestLimits {
  int32_t vocabulary = 0;   // token ids are below it
  int32_t max_context = 0;  // prompt and output together
  bool text = false;        // the worker knows its tokens' bytes: stop strings can be asked for
  bool generates = true;    // the model has a language-model head
  int32_t hidden = 0;       // width of a hidden state; 0: not known here
  std::vector<int32_t> eos_token_ids;
  // Of a classifier: the classes' names, none if it is no classifier; and the token that it does
  // not look at: the logits are those of the last position that has another one, or of the first.
  std::vector<std::string> labels;
  std::optional<int32_t> pad_token_id;
};

// The ids that end this request's output: stop_token_ids, and the model's own unless ignore_eos.
std::vector<int32_t> EndingIds(const GenerateRequest& request, const RequestLimits& limits);

inline constexpr int32_t kMaxTopLogprobs = 1024;
inline constexpr int32_t kMaxStopStrings = 16;
inline constexpr int32_t kMaxStopStringBytes = 256;
inline constexpr int32_t kMaxChoices = 128;
inline constexpr int32_t kMaxStopTokenIds = 64;
inline constexpr int32_t kMaxRequestIdBytes = 128;
inline constexpr int32_t kMaxPriority = 100;  // and as much below 0
inline constexpr int32_t kMaxCallerBytes = 128;
inline constexpr int32_t kMaxCacheSaltBytes = 128;
// Of the hidden states of one answer: what fits the 4 MiB that gRPC clients take by default.
inline constexpr int32_t kMaxPooledValues = 1'000'000;

// OK, or INVALID_ARGUMENT with the field, the value and the bound. ValidateShape looks at what does
// not depend on the model, ValidateRequest at everything.
absl::Status ValidateShape(const GenerateRequest& request);
absl::Status ValidateRequest(const GenerateRequest& request, const RequestLimits& limits);
// Whether the model has what is asked for on top of its layers: else FAILED_PRECONDITION.
absl::Status CheckHead(const GenerateRequest& request, const RequestLimits& limits);
absl::Status ValidateIds(absl::string_view field, const std::vector<int32_t>& ids,
                         int32_t vocabulary);

}  // namespace expertmesh
