// user_request.h: what a user asks for, before the front door has put it into tokens.
//
// What is not said is nullopt: defaults are the checkpoint's, then the product's, and stand at
// `Sampling` and `Stopping` of generation.proto. The front door makes one GenerateRequest of it for
// each choice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "generation/request_port.h"
#include "generation/sampling.h"

namespace expertmesh {

struct ChatTurn {
  std::string role;
  std::string content;
};

struct ChatPrompt {
  std::vector<ChatTurn> messages;
  bool add_generation_prompt = true;
};

struct UserSampling {
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::optional<float> repetition_penalty;
  std::vector<LogitBias> logit_bias;  // in any order
  std::optional<std::vector<int32_t>> allowed_token_ids;
  std::optional<uint64_t> seed;
  std::optional<int32_t> n;
};

// An answer that broke off: what the caller has of it.
struct ResumePoint {
  std::vector<int32_t> token_ids;
  int32_t choice = 0;
  std::optional<KeptAnswer> kept;  // where it may still be made
};

struct UserRequest {
  std::string request_id;
  std::string model;   // empty: the only one
  std::string caller;  // who asks, as the front door knows it; may be empty
  int32_t priority = 0;
  std::string cache_salt;
  // Nothing, token ids, text, or a conversation.
  std::variant<std::monostate, std::vector<int32_t>, std::string, ChatPrompt> prompt;
  UserSampling sampling;
  std::optional<int32_t> max_tokens;
  int32_t min_tokens = 0;
  std::vector<std::string> stop;
  bool include_stop = false;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
  bool logprobs = false;
  int32_t top_logprobs = 0;
  bool prompt_logprobs = false;
  bool echo = false;
  bool special_tokens = false;  // shown in the text
  // Other than kNone: what to tell of the prompt. Of the fields above, those that say how to
  // generate do not matter then.
  Pooling pooling = Pooling::kNone;
  bool normalise = false;
  std::optional<ResumePoint> resume;
  bool keep = false;  // the answer is kept for a while when the call breaks
  Time deadline = kNever;
};

using UserPort = RequestPort<UserRequest>;

inline constexpr int32_t kMaxMessages = 4096;

}  // namespace expertmesh
