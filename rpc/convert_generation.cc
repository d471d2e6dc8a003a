#include "rpc/convert_generation.h"

#include <utility>
#include <vector>

#include "common/status.h"
#include "rpc/convert_parts.h"

namespace expertmesh {
namespace {

// Everything is said; what is not, is zero or off.
absl::StatusOr<SamplingParams> FromProto(const v1::Sampling& proto) {
  SamplingParams sampling;
  sampling.temperature = proto.temperature();
  sampling.top_k = proto.top_k();
  if (proto.has_top_p()) sampling.top_p = proto.top_p();
  sampling.min_p = proto.min_p();
  sampling.presence_penalty = proto.presence_penalty();
  sampling.frequency_penalty = proto.frequency_penalty();
  if (proto.has_repetition_penalty()) sampling.repetition_penalty = proto.repetition_penalty();
  if (proto.has_seed()) sampling.seed = proto.seed();
  if (proto.logit_bias_size() > kMaxLogitBiases) {
    return Refuse("logit_bias has ", proto.logit_bias_size(), " entries; at most ",
                  kMaxLogitBiases);
  }
  for (const v1::LogitBias& entry : proto.logit_bias()) {
    sampling.logit_bias.push_back({entry.id(), entry.bias()});
  }
  if (proto.has_allowed_tokens()) {
    sampling.allowed_token_ids = std::vector<int32_t>(proto.allowed_tokens().ids().begin(),
                                                      proto.allowed_tokens().ids().end());
  }
  return sampling;
}

void Write(const SamplingParams& sampling, v1::Sampling* proto) {
  proto->set_temperature(sampling.temperature);
  proto->set_top_k(sampling.top_k);
  proto->set_top_p(sampling.top_p);
  proto->set_min_p(sampling.min_p);
  proto->set_presence_penalty(sampling.presence_penalty);
  proto->set_frequency_penalty(sampling.frequency_penalty);
  proto->set_repetition_penalty(sampling.repetition_penalty);
  if (sampling.seed.has_value()) proto->set_seed(*sampling.seed);
  for (const LogitBias& entry : sampling.logit_bias) {
    v1::LogitBias* out = proto->add_logit_bias();
    out->set_id(entry.id);
    out->set_bias(entry.bias);
  }
  if (sampling.allowed_token_ids.has_value()) {
    proto->mutable_allowed_tokens()->mutable_ids()->Add(sampling.allowed_token_ids->begin(),
                                                        sampling.allowed_token_ids->end());
  }
}

AnswerKey KeyOf(const v1::AnswerKey& proto) { return {proto.high(), proto.low()}; }

void Write(const AnswerKey& key, v1::AnswerKey* proto) {
  proto->set_high(key.high);
  proto->set_low(key.low);
}

}  // namespace

std::string ToResumeToken(const KeptAnswer& kept) {
  v1::KeptAnswer proto;
  Write(kept.key, proto.mutable_key());
  proto.set_worker(kept.worker);
  proto.mutable_incarnation()->set_term(kept.incarnation.term);
  proto.mutable_incarnation()->set_number(kept.incarnation.number);
  return proto.SerializeAsString();
}

absl::StatusOr<KeptAnswer> FromResumeToken(const std::string& token) {
  if (token.size() > kMaxResumeTokenBytes) {
    return Refuse("resume_token has ", token.size(), " bytes; at most ", kMaxResumeTokenBytes);
  }
  v1::KeptAnswer proto;
  if (!proto.ParseFromString(token) || !proto.has_key() || proto.worker().empty()) {
    return Refuse("resume_token is not one that a response had");
  }
  return KeptAnswer{KeyOf(proto.key()),
                    proto.worker(),
                    {proto.incarnation().term(), proto.incarnation().number()}};
}

v1::ForgetRequest ToForgetProto(const KeptAnswer& kept) {
  v1::ForgetRequest proto;
  Write(kept.key, proto.mutable_key());
  return proto;
}

absl::StatusOr<KeptAnswer> FromProto(const v1::ForgetRequest& proto) {
  if (!proto.has_key()) return Refuse("key is not set; it says what to forget");
  return KeptAnswer{KeyOf(proto.key()), "", {}};
}

absl::StatusOr<GenerateRequest> FromProto(const v1::AttentionGenerateRequest& proto) {
  GenerateRequest request;
  request.request_id = proto.request_id();
  request.prompt.assign(proto.prompt().begin(), proto.prompt().end());
  request.resumed.assign(proto.resumed().begin(), proto.resumed().end());
  request.choice = proto.choice();
  request.max_tokens = proto.max_tokens();
  request.default_max_tokens = proto.default_max_tokens();
  request.min_tokens = proto.min_tokens();
  request.stop.assign(proto.stop().begin(), proto.stop().end());
  request.special_tokens = proto.special_tokens();
  request.stop_token_ids.assign(proto.stop_token_ids().begin(), proto.stop_token_ids().end());
  request.ignore_eos = proto.ignore_eos();
  request.logprobs = proto.logprobs();
  request.top_logprobs = proto.top_logprobs();
  request.prompt_logprobs = proto.prompt_logprobs();
  request.priority = proto.priority();
  request.caller = proto.caller();
  request.cache_salt = proto.cache_salt();
  request.normalise = proto.normalize();
  if (proto.has_keep()) request.kept = KeptAnswer{KeyOf(proto.keep()), "", {}};
  if (proto.classify()) {
    request.pooling = Pooling::kClasses;
  } else if (proto.has_pooling()) {
    ASSIGN_OR_RETURN(request.pooling, FromProto(proto.pooling()));
  }
  ASSIGN_OR_RETURN(request.sampling, FromProto(proto.sampling()));
  RETURN_IF_ERROR(ValidateShape(request));
  return request;
}

v1::AttentionGenerateRequest ToProto(const GenerateRequest& request) {
  v1::AttentionGenerateRequest proto;
  proto.set_request_id(request.request_id);
  proto.mutable_prompt()->Add(request.prompt.begin(), request.prompt.end());
  proto.mutable_resumed()->Add(request.resumed.begin(), request.resumed.end());
  proto.set_choice(request.choice);
  proto.set_max_tokens(request.max_tokens);
  proto.set_default_max_tokens(request.default_max_tokens);
  proto.set_min_tokens(request.min_tokens);
  for (const std::string& stop : request.stop) proto.add_stop(stop);
  proto.set_special_tokens(request.special_tokens);
  proto.mutable_stop_token_ids()->Add(request.stop_token_ids.begin(), request.stop_token_ids.end());
  proto.set_ignore_eos(request.ignore_eos);
  proto.set_logprobs(request.logprobs);
  proto.set_top_logprobs(request.top_logprobs);
  proto.set_prompt_logprobs(request.prompt_logprobs);
  proto.set_priority(request.priority);
  proto.set_caller(request.caller);
  proto.set_cache_salt(request.cache_salt);
  if (request.pooling == Pooling::kClasses) {
    proto.set_classify(true);
  } else if (request.pooling != Pooling::kNone) {
    proto.set_pooling(ToProto(request.pooling));
    proto.set_normalize(request.normalise);
  }
  if (request.kept.has_value()) Write(request.kept->key, proto.mutable_keep());
  Write(request.sampling, proto.mutable_sampling());
  return proto;
}

absl::StatusOr<Delta> FromProto(const v1::AttentionGenerateResponse& proto) {
  Delta delta;
  RETURN_IF_ERROR(ReadDelta(proto, delta));
  delta.values.assign(proto.values().begin(), proto.values().end());
  delta.label = proto.label();
  return delta;
}

v1::AttentionGenerateResponse ToProto(const Delta& delta) {
  v1::AttentionGenerateResponse proto;
  WriteDelta(delta, /*logprobs=*/true, proto);
  proto.mutable_values()->Add(delta.values.begin(), delta.values.end());
  if (!delta.label.empty()) proto.set_label(delta.label);
  return proto;
}

}  // namespace expertmesh
