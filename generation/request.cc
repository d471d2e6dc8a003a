#include "generation/request.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"

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

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

}  // namespace

absl::Status ValidateShape(const GenerateRequest& request) {
  if (request.request_id.size() > kMaxRequestIdBytes) {
    return Refuse("request_id has ", request.request_id.size(), " bytes; at most ",
                  kMaxRequestIdBytes);
  }
  if (request.prompt.empty()) return Refuse("token_ids is empty; a prompt has at least one token");
  if (request.max_tokens < 1) {
    return Refuse("max_tokens is ", request.max_tokens, "; it is at least 1");
  }
  if (request.stop_token_ids.size() > kMaxStopTokenIds) {
    return Refuse("stop_token_ids has ", request.stop_token_ids.size(), " entries; at most ",
                  kMaxStopTokenIds);
  }
  if (request.top_logprobs < 0 || request.top_logprobs > kMaxTopLogprobs) {
    return Refuse("top_logprobs is ", request.top_logprobs, "; it goes from 0 to ",
                  kMaxTopLogprobs);
  }
  return absl::OkStatus();
}

absl::Status ValidateRequest(const GenerateRequest& request, const RequestLimits& limits) {
  RETURN_IF_ERROR(ValidateShape(request));
  const int64_t total = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
  if (total > limits.max_context) {
    return Refuse("token_ids has ", request.prompt.size(), " tokens and max_tokens is ",
                  request.max_tokens, ": together ", total, "; the context holds ",
                  limits.max_context);
  }
  if (request.top_logprobs > limits.vocabulary) {
    return Refuse("top_logprobs is ", request.top_logprobs, "; it goes from 0 to ",
                  limits.vocabulary);
  }
  RETURN_IF_ERROR(CheckIds("token_ids", request.prompt, limits.vocabulary));
  return CheckIds("stop_token_ids", request.stop_token_ids, limits.vocabulary);
}

}  // namespace expertmesh
