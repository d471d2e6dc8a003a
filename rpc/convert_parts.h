// convert_parts.h: what the users' and the workers' messages of a generation have in common.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "expertmesh/v1/generation.pb.h"
#include "generation/delta.h"
#include "generation/request.h"

namespace expertmesh {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::StatusOr<FinishReason> FromProto(v1::FinishReason reason);
v1::FinishReason ToProto(FinishReason reason);
absl::StatusOr<Pooling> FromProto(v1::Pooling pooling);
v1::Pooling ToProto(Pooling pooling);  // of hidden states
absl::StatusOr<OutputToken> FromProto(const v1::OutputToken& proto);
void ToProto(const OutputToken& token, bool logprob, v1::OutputToken* proto);

// Tokens, prompt logprobs and how it ended: both responses carry these alike.
template <typename Proto>
absl::Status ReadDelta(const Proto& proto, Delta& delta) {
  delta.prompt_logprobs.assign(proto.prompt_logprobs().begin(), proto.prompt_logprobs().end());
  delta.tokens.reserve(proto.tokens_size());
  for (const v1::OutputToken& token : proto.tokens()) {
    absl::StatusOr<OutputToken> value = FromProto(token);
    if (!value.ok()) return value.status();
    delta.tokens.push_back(*std::move(value));
  }
  if (!proto.has_finish_reason()) return absl::OkStatus();

  absl::StatusOr<FinishReason> finish = FromProto(proto.finish_reason());
  if (!finish.ok()) return finish.status();
  delta.finish = *finish;
  if (proto.has_stop_token_id()) {
    if (proto.stop_token_id() < 0) {
      return Refuse("stop_token_id is ", proto.stop_token_id(), "; it is at least 0");
    }
    delta.stop_token_id = proto.stop_token_id();
  }
  if (proto.has_stop_string()) delta.stop_string = proto.stop_string();
  const Usage& usage = delta.usage = {proto.usage().prompt_tokens(), proto.usage().output_tokens(),
                                      proto.usage().cached_tokens()};
  if (!proto.has_usage() || usage.prompt_tokens < 0 || usage.output_tokens < 0 ||
      usage.cached_tokens < 0) {
    return Refuse("usage is {", usage.prompt_tokens, ", ", usage.output_tokens, ", ",
                  usage.cached_tokens, "}; with a finish_reason it is set and not negative");
  }
  return absl::OkStatus();
}

template <typename Proto>
void WriteDelta(const Delta& delta, bool logprobs, Proto& proto) {
  proto.mutable_prompt_logprobs()->Add(delta.prompt_logprobs.begin(), delta.prompt_logprobs.end());
  for (const OutputToken& token : delta.tokens) ToProto(token, logprobs, proto.add_tokens());
  if (delta.finish == FinishReason::kNone) return;

  proto.set_finish_reason(ToProto(delta.finish));
  if (delta.stop_token_id.has_value()) proto.set_stop_token_id(*delta.stop_token_id);
  if (delta.stop_string.has_value()) proto.set_stop_string(*delta.stop_string);
  proto.mutable_usage()->set_prompt_tokens(delta.usage.prompt_tokens);
  proto.mutable_usage()->set_output_tokens(delta.usage.output_tokens);
  proto.mutable_usage()->set_cached_tokens(delta.usage.cached_tokens);
}

}  // namespace expertmesh
