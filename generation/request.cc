#include "generation/request.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status ValidateStopping(const GenerateRequest& request) {
  if (request.max_tokens == 0 && request.min_tokens < 0) {
    return Refuse("min_tokens is ", request.min_tokens, "; it is at least 0");
  }
  if (request.max_tokens > 0 &&
      (request.min_tokens < 0 || request.min_tokens > request.max_tokens)) {
    return Refuse("min_tokens is ", request.min_tokens, "; it goes from 0 to max_tokens, ",
                  request.max_tokens);
  }
  if (request.stop.size() > kMaxStopStrings) {
    return Refuse("stop has ", request.stop.size(), " strings; at most ", kMaxStopStrings);
  }
  for (size_t i = 0; i < request.stop.size(); ++i) {
    const size_t bytes = request.stop[i].size();
    if (bytes == 0 || bytes > kMaxStopStringBytes) {
      return Refuse("stop[", i, "] has ", bytes, " bytes; from 1 to ", kMaxStopStringBytes);
    }
  }
  if (request.stop_token_ids.size() > kMaxStopTokenIds) {
    return Refuse("stop_token_ids has ", request.stop_token_ids.size(), " entries; at most ",
                  kMaxStopTokenIds);
  }
  return absl::OkStatus();
}

// The prompt fits the context, and what is told of it fits a message.
absl::Status CheckPooling(const GenerateRequest& request, const RequestLimits& limits) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt > limits.max_context) {
    return Refuse("the prompt has ", prompt, " tokens; the context holds ", limits.max_context);
  }
  if (request.pooling != Pooling::kAll || prompt * limits.hidden <= kMaxPooledValues) {
    return absl::OkStatus();
  }
  return Refuse("the prompt has ", prompt, " tokens, and a hidden state has ", limits.hidden,
                " values: together ", prompt * limits.hidden, "; at most ", kMaxPooledValues);
}

// Prompt and output fit the context: all of the output, or where max_tokens is not said, one token
// more than there is.
absl::Status CheckContext(const GenerateRequest& request, const RequestLimits& limits) {
  if (request.pooling != Pooling::kNone) return CheckPooling(request, limits);
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const auto resumed = static_cast<int64_t>(request.resumed.size());
  if (request.max_tokens > 0) {
    const int64_t together = prompt + request.max_tokens;
    if (together > limits.max_context) {
      return Refuse("the prompt has ", prompt, " tokens and max_tokens is ", request.max_tokens,
                    ": together ", together, "; the context holds ", limits.max_context);
    }
    if (resumed < request.max_tokens) return absl::OkStatus();
    return Refuse("resume.token_ids has ", resumed, " tokens; it has fewer than max_tokens, ",
                  request.max_tokens);
  }
  if (prompt + resumed + 1 > limits.max_context) {
    return Refuse("the prompt has ", prompt, " tokens", resumed > 0 ? " and resume.token_ids " : "",
                  resumed > 0 ? absl::StrCat(resumed) : "", ": with one more together ",
                  prompt + resumed + 1, "; the context holds ", limits.max_context);
  }
  int64_t most = limits.max_context - prompt;
  if (request.default_max_tokens > 0) most = std::min<int64_t>(most, request.default_max_tokens);
  if (request.min_tokens <= most) return absl::OkStatus();
  return Refuse("min_tokens is ", request.min_tokens, "; it goes from 0 to max_tokens, ", most,
                " (not set)");
}

// Masked until min_tokens are made, they must leave something to choose.
absl::Status CheckSomethingIsAllowed(const GenerateRequest& request, const RequestLimits& limits) {
  if (request.min_tokens == 0) return absl::OkStatus();
  std::vector<int32_t> ending = EndingIds(request, limits);
  std::sort(ending.begin(), ending.end());
  ending.erase(std::unique(ending.begin(), ending.end()), ending.end());
  const auto ends = [&](int32_t id) {
    return std::binary_search(ending.begin(), ending.end(), id);
  };
  const auto& allowed = request.sampling.allowed_token_ids;
  const bool none = allowed.has_value() ? std::all_of(allowed->begin(), allowed->end(), ends)
                                        : static_cast<int64_t>(ending.size()) >= limits.vocabulary;
  if (!none) return absl::OkStatus();
  return Refuse("min_tokens is ", request.min_tokens,
                ", but every allowed id would end the output; it is 0 then");
}

}  // namespace

absl::Status ValidateIds(absl::string_view field, const std::vector<int32_t>& ids,
                         int32_t vocabulary) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, "[", i, "] is ", ids[i], "; ids go from 0 to ", vocabulary - 1));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHead(const GenerateRequest& request, const RequestLimits& limits) {
  if (request.pooling == Pooling::kNone && !limits.generates) {
    return absl::FailedPreconditionError(
        limits.labels.empty() ? "the model has no language-model head: it embeds, and generates not"
                              : "the model is a classifier: it generates not");
  }
  if (request.pooling == Pooling::kClasses && limits.labels.empty()) {
    return absl::FailedPreconditionError("the model is no classifier: it has no score head");
  }
  return absl::OkStatus();
}

std::vector<int32_t> EndingIds(const GenerateRequest& request, const RequestLimits& limits) {
  std::vector<int32_t> ids = request.stop_token_ids;
  if (!request.ignore_eos) {
    ids.insert(ids.end(), limits.eos_token_ids.begin(), limits.eos_token_ids.end());
  }
  return ids;
}

absl::Status ValidateShape(const GenerateRequest& request) {
  if (request.request_id.size() > kMaxRequestIdBytes) {
    return Refuse("request_id has ", request.request_id.size(), " bytes; at most ",
                  kMaxRequestIdBytes);
  }
  if (request.priority < -kMaxPriority || request.priority > kMaxPriority) {
    return Refuse("priority is ", request.priority, "; it goes from -", kMaxPriority, " to ",
                  kMaxPriority);
  }
  if (request.caller.size() > kMaxCallerBytes) {
    return Refuse("caller has ", request.caller.size(), " bytes; at most ", kMaxCallerBytes);
  }
  if (request.cache_salt.size() > kMaxCacheSaltBytes) {
    return Refuse("cache_salt has ", request.cache_salt.size(), " bytes; at most ",
                  kMaxCacheSaltBytes);
  }
  if (request.prompt.empty()) return Refuse("token_ids is empty; a prompt has at least one token");
  if (request.choice < 0 || request.choice >= kMaxChoices) {
    return Refuse("choice is ", request.choice, "; it goes from 0 to ", kMaxChoices - 1);
  }
  if (request.default_max_tokens < 0) {
    return Refuse("default_max_tokens is ", request.default_max_tokens, "; it is at least 0");
  }
  if (request.max_tokens < 0) {
    return Refuse("max_tokens is ", request.max_tokens, "; it is at least 1");
  }
  RETURN_IF_ERROR(ValidateStopping(request));
  if (request.top_logprobs < 0 || request.top_logprobs > kMaxTopLogprobs) {
    return Refuse("top_logprobs is ", request.top_logprobs, "; it goes from 0 to ",
                  kMaxTopLogprobs);
  }
  return absl::OkStatus();
}

absl::Status ValidateRequest(const GenerateRequest& request, const RequestLimits& limits) {
  RETURN_IF_ERROR(ValidateShape(request));
  RETURN_IF_ERROR(CheckContext(request, limits));
  if (request.top_logprobs > limits.vocabulary) {
    return Refuse("top_logprobs is ", request.top_logprobs, "; it goes from 0 to ",
                  limits.vocabulary);
  }
  if (!request.stop.empty() && !limits.text) {
    return absl::FailedPreconditionError(
        "stop strings are asked for; the model's checkpoint has no tokenizer");
  }
  RETURN_IF_ERROR(ValidateIds("token_ids", request.prompt, limits.vocabulary));
  RETURN_IF_ERROR(ValidateIds("resume.token_ids", request.resumed, limits.vocabulary));
  RETURN_IF_ERROR(ValidateIds("stop_token_ids", request.stop_token_ids, limits.vocabulary));
  RETURN_IF_ERROR(ValidateSampling(request.sampling, limits.vocabulary));
  return CheckSomethingIsAllowed(request, limits);
}

}  // namespace expertmesh
