#include "rpc/convert_parts.h"

#include "common/status.h"
#include "generation/request.h"

namespace expertmesh {
namespace {

absl::StatusOr<TokenLogprob> FromProto(const v1::TokenLogprob& proto) {
  if (!proto.has_id() || proto.id() < 0) return Refuse("top.id is ", proto.id(), "; at least 0");
  if (!proto.has_logprob()) return Refuse("top.logprob is missing for id ", proto.id());
  return TokenLogprob{proto.id(), proto.logprob()};
}

}  // namespace

absl::StatusOr<FinishReason> FromProto(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return FinishReason::kStop;
    case v1::FINISH_REASON_LENGTH:
      return FinishReason::kLength;
    case v1::FINISH_REASON_PROMPT:
      return FinishReason::kPrompt;
    default:
      return Refuse("finish_reason is ", static_cast<int>(reason), "; STOP or LENGTH expected");
  }
}

v1::FinishReason ToProto(FinishReason reason) {
  if (reason == FinishReason::kPrompt) return v1::FINISH_REASON_PROMPT;
  return reason == FinishReason::kStop ? v1::FINISH_REASON_STOP : v1::FINISH_REASON_LENGTH;
}

absl::StatusOr<Pooling> FromProto(v1::Pooling pooling) {
  switch (pooling) {
    case v1::POOLING_UNSPECIFIED:
    case v1::POOLING_LAST:
      return Pooling::kLast;
    case v1::POOLING_MEAN:
      return Pooling::kMean;
    case v1::POOLING_ALL:
      return Pooling::kAll;
    default:
      return Refuse("pooling is ", static_cast<int>(pooling), "; it is LAST, MEAN or ALL");
  }
}

v1::Pooling ToProto(Pooling pooling) {
  if (pooling == Pooling::kMean) return v1::POOLING_MEAN;
  return pooling == Pooling::kAll ? v1::POOLING_ALL : v1::POOLING_LAST;
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

void ToProto(const OutputToken& token, bool logprob, v1::OutputToken* proto) {
  proto->set_id(token.id);
  if (logprob) proto->set_logprob(token.logprob);
  for (const TokenLogprob& top : token.top) {
    v1::TokenLogprob* entry = proto->add_top();
    entry->set_id(top.id);
    entry->set_logprob(top.logprob);
  }
}

}  // namespace expertmesh
