// request_flags.h: the flags that say what to generate and how, for the commands that generate.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "generation/user_request.h"

namespace expertmesh {

struct RequestFlags {
  UserSampling sampling;
  std::optional<int32_t> max_tokens;
  int32_t min_tokens = 0;
  std::vector<std::string> stop;
  std::string stop_token_ids;
  int32_t top_logprobs = 0;
  bool include_stop = false, ignore_eos = false, prompt_logprobs = false, echo = false,
       special_tokens = false;
  int32_t priority = 0;
  std::string cache_salt;
  double timeout = 0;  // seconds; 0: none
};

// Sampling, stopping and output, in groups of --help. What is not given is left to the server.
void AddRequestFlags(CLI::App& app, RequestFlags* flags);

// All but the prompt. Errors  INVALID_ARGUMENT: a list that cannot be read, by its flag.
absl::StatusOr<UserRequest> RequestOf(const RequestFlags& flags);

// "1,2,3". Errors  INVALID_ARGUMENT: `flag`, and what is no number.
absl::StatusOr<std::vector<int32_t>> ParseIds(absl::string_view flag, const std::string& text);

}  // namespace expertmesh
