#include "rpc/convert_generation.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::StatusOr<FinishReason> FromProto(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return FinishReason::kStop;
    case v1::FINISH_REASON_LENGTH:
      return FinishReason::kLength;
    default:
      return Refuse("finish_reason is ", static_cast<int>(reason), "; STOP or LENGTH expected");
  }
}

v1::FinishReason ToProto(FinishReason reason) {
  return reason == FinishReason::kStop ? v1::FINISH_REASON_STOP : v1::FINISH_REASON_LENGTH;
}

absl::StatusOr<TokenLogprob> FromProto(const v1::TokenLogprob& proto) {
  if (!proto.has_id() || proto.id() < 0) return Refuse("top.id is ", proto.id(), "; at least 0");
  if (!proto.has_logprob()) return Refuse("top.logprob is missing for id ", proto.id());
  return TokenLogprob{proto.id(), proto.logprob()};
}

absl::StatusOr<OutputToken> FromProto(const v1::OutputToken& proto) {
  if (!proto.has_id() || proto.id() < 0) {
    return Refuse("tokens.id is ", proto.id(), "; it is set and at least 0");
  }
  if (proto.top_size() > kMaxTopLogprobs) {
    return Refuse("tokens.top has ", proto.top_size(), " entries; at most ", kMaxTopLogprobs);
  }
  OutputToken token{.id = proto.id(), .logprob = proto.logprob()};
  token.top.reserve(proto.top_size());
  for (const v1::TokenLogprob& top : proto.top()) {
    ASSIGN_OR_RETURN(TokenLogprob entry, FromProto(top));
    token.top.push_back(entry);
  }
  return token;
}

// Both responses carry these alike.
template <typename Proto>
absl::StatusOr<Delta> DeltaFromProto(const Proto& proto) {
  Delta delta;
  delta.prompt_logprobs.assign(proto.prompt_logprobs().begin(), proto.prompt_logprobs().end());
  delta.tokens.reserve(proto.tokens_size());
  for (const v1::OutputToken& token : proto.tokens()) {
    ASSIGN_OR_RETURN(OutputToken value, FromProto(token));
    delta.tokens.push_back(std::move(value));
  }
  if (!proto.has_finish_reason()) return delta;

  ASSIGN_OR_RETURN(delta.finish, FromProto(proto.finish_reason()));
  if (proto.has_stop_token_id()) {
    if (proto.stop_token_id() < 0) {
      return Refuse("stop_token_id is ", proto.stop_token_id(), "; it is at least 0");
    }
    delta.stop_token_id = proto.stop_token_id();
  }
  delta.usage = {proto.usage().prompt_tokens(), proto.usage().output_tokens()};
  if (!proto.has_usage() || delta.usage.prompt_tokens < 0 || delta.usage.output_tokens < 0) {
    return Refuse("usage is {", delta.usage.prompt_tokens, ", ", delta.usage.output_tokens,
                  "}; with a finish_reason it is set and not negative");
  }
  return delta;
}

template <typename Proto>
Proto DeltaToProto(const Delta& delta, bool logprobs) {
  Proto proto;
  proto.mutable_prompt_logprobs()->Add(delta.prompt_logprobs.begin(), delta.prompt_logprobs.end());
  for (const OutputToken& token : delta.tokens) {
    v1::OutputToken* out = proto.add_tokens();
    out->set_id(token.id);
    if (logprobs) out->set_logprob(token.logprob);
    for (const TokenLogprob& top : token.top) {
      v1::TokenLogprob* entry = out->add_top();
      entry->set_id(top.id);
      entry->set_logprob(top.logprob);
    }
  }
  if (delta.finish == FinishReason::kNone) return proto;

  proto.set_finish_reason(ToProto(delta.finish));
  if (delta.stop_token_id.has_value()) proto.set_stop_token_id(*delta.stop_token_id);
  proto.mutable_usage()->set_prompt_tokens(delta.usage.prompt_tokens);
  proto.mutable_usage()->set_output_tokens(delta.usage.output_tokens);
  return proto;
}

}  // namespace

absl::StatusOr<GenerateRequest> FromProto(const v1::GenerateRequest& proto) {
  if (proto.prompt_case() != v1::GenerateRequest::kTokenIds) {
    return Refuse("prompt is not set; this version takes token_ids");
  }
  // Also refuses NaN, which is unequal to everything.
  if (proto.sampling().has_temperature() && !(proto.sampling().temperature() == 0)) {
    return Refuse("sampling.temperature is ", proto.sampling().temperature(),
                  "; this version samples greedily: absent or 0");
  }
  if (!proto.stopping().has_max_tokens()) {
    return Refuse("stopping.max_tokens is not set; it is at least 1");
  }
  const v1::Stopping& stopping = proto.stopping();
  const v1::Output& output = proto.output();
  GenerateRequest request;
  request.request_id = proto.request_id();
  request.prompt.assign(proto.token_ids().ids().begin(), proto.token_ids().ids().end());
  request.max_tokens = stopping.max_tokens();
  request.stop_token_ids.assign(stopping.stop_token_ids().begin(), stopping.stop_token_ids().end());
  request.ignore_eos = stopping.ignore_eos();
  request.logprobs = output.logprobs() || output.top_logprobs() > 0;
  request.top_logprobs = output.top_logprobs();
  request.prompt_logprobs = output.prompt_logprobs();
  RETURN_IF_ERROR(ValidateShape(request));
  return request;
}

v1::GenerateRequest ToPublicProto(const GenerateRequest& request) {
  v1::GenerateRequest proto;
  if (!request.request_id.empty()) proto.set_request_id(request.request_id);
  proto.mutable_token_ids()->mutable_ids()->Add(request.prompt.begin(), request.prompt.end());
  v1::Stopping* stopping = proto.mutable_stopping();
  stopping->set_max_tokens(request.max_tokens);
  stopping->mutable_stop_token_ids()->Add(request.stop_token_ids.begin(),
                                          request.stop_token_ids.end());
  stopping->set_ignore_eos(request.ignore_eos);
  v1::Output* output = proto.mutable_output();
  output->set_logprobs(request.logprobs);
  output->set_top_logprobs(request.top_logprobs);
  output->set_prompt_logprobs(request.prompt_logprobs);
  return proto;
}

absl::StatusOr<Delta> FromProto(const v1::GenerateResponse& proto) { return DeltaFromProto(proto); }

v1::GenerateResponse ToPublicProto(const Delta& delta, bool logprobs) {
  return DeltaToProto<v1::GenerateResponse>(delta, logprobs);
}

absl::StatusOr<GenerateRequest> FromProto(const v1::AttentionGenerateRequest& proto) {
  GenerateRequest request;
  request.request_id = proto.request_id();
  request.prompt.assign(proto.prompt().begin(), proto.prompt().end());
  request.max_tokens = proto.max_tokens();
  request.stop_token_ids.assign(proto.stop_token_ids().begin(), proto.stop_token_ids().end());
  request.ignore_eos = proto.ignore_eos();
  request.logprobs = proto.logprobs();
  request.top_logprobs = proto.top_logprobs();
  request.prompt_logprobs = proto.prompt_logprobs();
  RETURN_IF_ERROR(ValidateShape(request));
  return request;
}

v1::AttentionGenerateRequest ToAttentionProto(const GenerateRequest& request) {
  v1::AttentionGenerateRequest proto;
  proto.set_request_id(request.request_id);
  proto.mutable_prompt()->Add(request.prompt.begin(), request.prompt.end());
  proto.set_max_tokens(request.max_tokens);
  proto.mutable_stop_token_ids()->Add(request.stop_token_ids.begin(), request.stop_token_ids.end());
  proto.set_ignore_eos(request.ignore_eos);
  proto.set_logprobs(request.logprobs);
  proto.set_top_logprobs(request.top_logprobs);
  proto.set_prompt_logprobs(request.prompt_logprobs);
  return proto;
}

absl::StatusOr<Delta> FromProto(const v1::AttentionGenerateResponse& proto) {
  return DeltaFromProto(proto);
}

v1::AttentionGenerateResponse ToAttentionProto(const Delta& delta) {
  return DeltaToProto<v1::AttentionGenerateResponse>(delta, /*logprobs=*/true);
}

}  // namespace expertmesh
