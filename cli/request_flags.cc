#include "cli/request_flags.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace expertmesh {

void AddRequestFlags(CLI::App& app, RequestFlags* flags) {
  UserSampling& sampling = flags->sampling;
  const auto add = [&](const char* name, auto& target, const char* help, const char* group) {
    return app.add_option(name, target, help)->group(group);
  };
  constexpr char kSampling[] = "Sampling", kStopping[] = "Stopping", kOutput[] = "Output";
  add("--temperature", sampling.temperature, "0 is greedy; 1 is the model's own distribution",
      kSampling);
  add("--top-k", sampling.top_k, "only the k most likely tokens; 0: all", kSampling);
  add("--top-p", sampling.top_p, "only the most likely tokens up to this probability", kSampling);
  add("--min-p", sampling.min_p, "only tokens at least this times as likely as the best",
      kSampling);
  add("--presence-penalty", sampling.presence_penalty, "-2 to 2", kSampling);
  add("--frequency-penalty", sampling.frequency_penalty, "-2 to 2", kSampling);
  add("--repetition-penalty", sampling.repetition_penalty, "above 0; 1: none", kSampling);
  add("--seed", sampling.seed, "of all draws; drawn and told if it is not given", kSampling);
  add("-n,--n", sampling.n, "answers to make", kSampling);
  add("--max-tokens", flags->max_tokens, "most output tokens", kStopping);
  add("--min-tokens", flags->min_tokens, "nothing but --max-tokens ends it before", kStopping);
  add("--stop", flags->stop, "a string that ends it; may be given again", kStopping);
  add("--stop-token-ids", flags->stop_token_ids, "ids that end it, like 1,2,3", kStopping);
  app.add_flag("--include-stop", flags->include_stop, "show the stop string")->group(kStopping);
  app.add_flag("--ignore-eos", flags->ignore_eos, "the model's own end does not end it")
      ->group(kStopping);
  add("--top-logprobs", flags->top_logprobs, "most likely ids per output position", kOutput);
  app.add_flag("--prompt-logprobs", flags->prompt_logprobs, "logprobs of the prompt's tokens")
      ->group(kOutput);
  app.add_flag("--echo", flags->echo, "begin the text with the prompt's")->group(kOutput);
  app.add_flag("--special-tokens", flags->special_tokens, "show special tokens in the text")
      ->group(kOutput);
  add("--priority", flags->priority, "higher goes first where requests wait; -100 to 100", kOutput);
  add("--cache-salt", flags->cache_salt, "share cached prefixes only with requests of this salt",
      kOutput);
  app.add_option("--timeout", flags->timeout, "seconds for the whole answer; 0: no limit")
      ->check(CLI::Range(0.0, 1e7))
      ->group(kOutput);
}

absl::StatusOr<UserRequest> RequestOf(const RequestFlags& flags) {
  UserRequest request;
  request.sampling = flags.sampling;
  request.max_tokens = flags.max_tokens;
  request.min_tokens = flags.min_tokens;
  request.stop = flags.stop;
  ASSIGN_OR_RETURN(request.stop_token_ids, ParseIds("--stop-token-ids", flags.stop_token_ids));
  request.include_stop = flags.include_stop;
  request.ignore_eos = flags.ignore_eos;
  request.logprobs = true;
  request.top_logprobs = flags.top_logprobs;
  request.prompt_logprobs = flags.prompt_logprobs;
  request.echo = flags.echo;
  request.special_tokens = flags.special_tokens;
  request.priority = flags.priority;
  request.cache_salt = flags.cache_salt;
  if (flags.timeout > 0) {
    request.deadline = Now() + std::chrono::milliseconds(static_cast<int64_t>(flags.timeout * 1e3));
  }
  return request;
}

absl::StatusOr<std::vector<int32_t>> ParseIds(absl::string_view flag, const std::string& text) {
  std::vector<int32_t> ids;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    int32_t id = 0;
    if (!absl::SimpleAtoi(part, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " has \"", part, "\"; it is a list of ids like 1,2,3"));
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace expertmesh
