// delta.h: what comes back from a generation: tokens as they are made, and how it ended.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace expertmesh {

enum class FinishReason : uint8_t {
  kNone,    // not ended yet
  kStop,    // an end-of-sequence or stop token was made
  kLength,  // max_tokens were made
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // of the raw logits
  bool operator==(const TokenLogprob&) const = default;
};

// One output token. The token that stopped the sequence is among them.
struct OutputToken {
  int32_t id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top;  // as many as asked for, most likely first, ties to the lower id
  bool operator==(const OutputToken&) const = default;
};

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t output_tokens = 0;
  bool operator==(const Usage&) const = default;
};

// A piece of an answer: only what is new since the piece before.
struct Delta {
  // Logprobs of prompt tokens 1, 2, ...: all in one piece, before the first output token.
  std::vector<float> prompt_logprobs;
  std::vector<OutputToken> tokens;
  FinishReason finish = FinishReason::kNone;  // set in the last piece, with usage
  std::optional<int32_t> stop_token_id;       // which token stopped it
  Usage usage;
};

}  // namespace expertmesh
