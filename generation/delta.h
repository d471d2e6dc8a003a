// delta.h: what comes back from a generation: tokens as they are made, and how it ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "generation/kept_answer.h"

namespace expertmesh {

enum class FinishReason : uint8_t {
  kNone,    // not ended yet
  kStop,    // an end-of-sequence token, a stop token or a stop string was made
  kLength,  // max_tokens were made
  kPrompt,  // the prompt is computed, and what was asked of it is told
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
  int32_t cached_tokens = 0;  // of the prompt: found computed already
  bool operator==(const Usage&) const = default;
};

// What a front door says first.
struct Opening {
  int32_t prompt_tokens = 0;
  uint64_t seed = 0;
  bool text = false;  // there is a tokenizer: tokens come with their text
};

// A piece of an answer: only what is new since the piece before.
struct Delta {
  int32_t choice = 0;              // which of the n answers it belongs to
  std::optional<Opening> opening;  // in a front door's first piece
  // A front door's: who has the answer from now on, if it is kept. In the choice's first piece, and
  // when another worker goes on with it.
  std::optional<KeptAnswer> kept;
  // Logprobs of prompt tokens 1, 2, ...: all in one piece, before the first output token.
  std::vector<float> prompt_logprobs;
  // What is told of the prompt, if its pooling says so: hidden states, position by position in one
  // piece or more, or a classifier's logits, with the name of the greatest.
  std::vector<float> values;
  std::string label;
  std::vector<OutputToken> tokens;
  std::string text;                           // a front door's
  FinishReason finish = FinishReason::kNone;  // set in the choice's last piece, with usage
  std::optional<int32_t> stop_token_id;       // which token stopped it
  std::optional<std::string> stop_string;     // or which string
  Usage usage;
};

}  // namespace expertmesh
