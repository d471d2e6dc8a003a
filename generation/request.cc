#include "generation/request.h"

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

absl::Status CheckIds(absl::string_view field, const std::vector<int32_t>& ids,
                      int32_t vocabulary) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, "[", i, "] is ", ids[i], "; ids go from 0 to ", vocabulary - 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateRequest(const GenerateRequest& request, const RequestLimits& limits) {
  const auto refuse = [](auto... parts) {
    return absl::InvalidArgumentError(absl::StrCat(parts...));
  };
  if (request.request_id.size() > kMaxRequestIdBytes) {
    return refuse("request_id has ", request.request_id.size(), " bytes; at most ",
                  kMaxRequestIdBytes);
  }
  if (request.prompt.empty()) return refuse("token_ids is empty; a prompt has at least one token");
  if (request.max_tokens < 1) {
    return refuse("max_tokens is ", request.max_tokens, "; it is at least 1");
  }
  const int64_t total = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
  if (total > limits.max_context) {
    return refuse("token_ids has ", request.prompt.size(), " tokens and max_tokens is ",
                  request.max_tokens, ": together ", total, "; the context holds ",
                  limits.max_context);
  }
  if (request.stop_token_ids.size() > kMaxStopTokenIds) {
    return refuse("stop_token_ids has ", request.stop_token_ids.size(), " entries; at most ",
                  kMaxStopTokenIds);
  }
  const int32_t top_bound = std::min(kMaxTopLogprobs, limits.vocabulary);
  if (request.top_logprobs < 0 || request.top_logprobs > top_bound) {
    return refuse("top_logprobs is ", request.top_logprobs, "; it goes from 0 to ", top_bound);
  }
  if (absl::Status ids = CheckIds("token_ids", request.prompt, limits.vocabulary); !ids.ok()) {
    return ids;
  }
  return CheckIds("stop_token_ids", request.stop_token_ids, limits.vocabulary);
}

}  // namespace expertmesh
