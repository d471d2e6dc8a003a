#include "rpc/convert_user.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/status.h"
#include "rpc/convert_generation.h"
#include "rpc/convert_parts.h"

namespace expertmesh {
namespace {

template <typename T>
std::vector<T> ToVector(const google::protobuf::RepeatedField<T>& field) {
  return std::vector<T>(field.begin(), field.end());
}

absl::StatusOr<ChatPrompt> FromProto(const v1::Chat& proto) {
  if (proto.messages().empty()) return Refuse("chat.messages is empty; it has at least one");
  if (proto.messages_size() > kMaxMessages) {
    return Refuse("chat.messages has ", proto.messages_size(), " entries; at most ", kMaxMessages);
  }
  ChatPrompt chat;
  for (const v1::ChatMessage& message : proto.messages()) {
    if (!message.has_role()) {
      return Refuse("chat.messages[", chat.messages.size(), "].role is not set");
    }
    chat.messages.push_back({message.role(), message.content()});
  }
  chat.add_generation_prompt = !proto.has_add_generation_prompt() || proto.add_generation_prompt();
  return chat;
}

// Of all three requests: whose it is, and the prompt.
template <typename Proto>
absl::Status ReadCommon(const Proto& proto, UserRequest& request) {
  request.request_id = proto.request_id();
  if (request.request_id.size() > kMaxRequestIdBytes) {
    return Refuse("request_id has ", request.request_id.size(), " bytes; at most ",
                  kMaxRequestIdBytes);
  }
  request.model = proto.model();
  request.priority = proto.priority();
  request.cache_salt = proto.cache_salt();
  switch (proto.prompt_case()) {
    case Proto::kTokenIds:
      request.prompt = ToVector(proto.token_ids().ids());
      return absl::OkStatus();
    case Proto::kText:
      request.prompt = proto.text();
      return absl::OkStatus();
    case Proto::kChat: {
      ASSIGN_OR_RETURN(request.prompt, FromProto(proto.chat()));
      return absl::OkStatus();
    }
    case Proto::PROMPT_NOT_SET:
      break;
  }
  return Refuse("prompt is not set; it is one of token_ids, text and chat");
}

absl::Status ReadSampling(const v1::Sampling& proto, UserSampling& sampling) {
  const auto read = [](bool has, auto value, auto& target) {
    if (has) target = value;
  };
  read(proto.has_temperature(), proto.temperature(), sampling.temperature);
  read(proto.has_top_k(), proto.top_k(), sampling.top_k);
  read(proto.has_top_p(), proto.top_p(), sampling.top_p);
  read(proto.has_min_p(), proto.min_p(), sampling.min_p);
  read(proto.has_presence_penalty(), proto.presence_penalty(), sampling.presence_penalty);
  read(proto.has_frequency_penalty(), proto.frequency_penalty(), sampling.frequency_penalty);
  read(proto.has_repetition_penalty(), proto.repetition_penalty(), sampling.repetition_penalty);
  read(proto.has_seed(), proto.seed(), sampling.seed);
  read(proto.has_n(), proto.n(), sampling.n);
  for (const v1::LogitBias& entry : proto.logit_bias()) {
    if (!entry.has_id() || !entry.has_bias()) {
      return Refuse("logit_bias[", sampling.logit_bias.size(), "].", entry.has_id() ? "bias" : "id",
                    " is not set; each entry has both");
    }
    sampling.logit_bias.push_back({entry.id(), entry.bias()});
  }
  if (proto.has_allowed_tokens()) {
    sampling.allowed_token_ids = ToVector(proto.allowed_tokens().ids());
  }
  return absl::OkStatus();
}

void ReadStopping(const v1::Stopping& proto, UserRequest& request) {
  if (proto.has_max_tokens()) request.max_tokens = proto.max_tokens();
  request.min_tokens = proto.min_tokens();
  request.stop.assign(proto.stop().begin(), proto.stop().end());
  request.include_stop = proto.include_stop();
  request.stop_token_ids = ToVector(proto.stop_token_ids());
  request.ignore_eos = proto.ignore_eos();
}

void ReadOutput(const v1::Output& proto, UserRequest& request) {
  request.logprobs = proto.logprobs() || proto.top_logprobs() > 0;
  request.top_logprobs = proto.top_logprobs();
  request.prompt_logprobs = proto.prompt_logprobs();
  request.echo = proto.echo();
  request.special_tokens = proto.special_tokens();
}

void WriteSampling(const UserSampling& sampling, v1::Sampling* proto) {
  if (sampling.temperature) proto->set_temperature(*sampling.temperature);
  if (sampling.top_k) proto->set_top_k(*sampling.top_k);
  if (sampling.top_p) proto->set_top_p(*sampling.top_p);
  if (sampling.min_p) proto->set_min_p(*sampling.min_p);
  if (sampling.presence_penalty) proto->set_presence_penalty(*sampling.presence_penalty);
  if (sampling.frequency_penalty) proto->set_frequency_penalty(*sampling.frequency_penalty);
  if (sampling.repetition_penalty) proto->set_repetition_penalty(*sampling.repetition_penalty);
  if (sampling.seed) proto->set_seed(*sampling.seed);
  if (sampling.n) proto->set_n(*sampling.n);
  for (const LogitBias& entry : sampling.logit_bias) {
    v1::LogitBias* out = proto->add_logit_bias();
    out->set_id(entry.id);
    out->set_bias(entry.bias);
  }
  if (sampling.allowed_token_ids) {
    proto->mutable_allowed_tokens()->mutable_ids()->Add(sampling.allowed_token_ids->begin(),
                                                        sampling.allowed_token_ids->end());
  }
}

template <typename Proto>
void WriteCommon(const UserRequest& request, Proto& proto) {
  if (!request.request_id.empty()) proto.set_request_id(request.request_id);
  if (!request.model.empty()) proto.set_model(request.model);
  if (request.priority != 0) proto.set_priority(request.priority);
  if (!request.cache_salt.empty()) proto.set_cache_salt(request.cache_salt);
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    proto.mutable_token_ids()->mutable_ids()->Add(ids->begin(), ids->end());
  } else if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    proto.set_text(*text);
  } else if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    proto.mutable_chat()->set_add_generation_prompt(chat->add_generation_prompt);
    for (const ChatTurn& message : chat->messages) {
      v1::ChatMessage* out = proto.mutable_chat()->add_messages();
      out->set_role(message.role);
      out->set_content(message.content);
    }
  }
}

}  // namespace

absl::StatusOr<UserRequest> FromProto(const v1::GenerateRequest& proto) {
  UserRequest request;
  RETURN_IF_ERROR(ReadCommon(proto, request));
  RETURN_IF_ERROR(ReadSampling(proto.sampling(), request.sampling));
  ReadStopping(proto.stopping(), request);
  ReadOutput(proto.output(), request);
  if (proto.has_resume()) {
    request.resume = ResumePoint{ToVector(proto.resume().token_ids()), proto.resume().choice()};
    if (proto.resume().has_resume_token()) {
      ASSIGN_OR_RETURN(request.resume->kept, FromResumeToken(proto.resume().resume_token()));
    }
  }
  request.keep = proto.keep();
  return request;
}

v1::GenerateRequest ToProto(const UserRequest& request) {
  v1::GenerateRequest proto;
  WriteCommon(request, proto);
  WriteSampling(request.sampling, proto.mutable_sampling());
  v1::Stopping* stopping = proto.mutable_stopping();
  if (request.max_tokens) stopping->set_max_tokens(*request.max_tokens);
  if (request.min_tokens != 0) stopping->set_min_tokens(request.min_tokens);
  for (const std::string& stop : request.stop) stopping->add_stop(stop);
  stopping->set_include_stop(request.include_stop);
  stopping->mutable_stop_token_ids()->Add(request.stop_token_ids.begin(),
                                          request.stop_token_ids.end());
  stopping->set_ignore_eos(request.ignore_eos);
  v1::Output* output = proto.mutable_output();
  output->set_logprobs(request.logprobs);
  output->set_top_logprobs(request.top_logprobs);
  output->set_prompt_logprobs(request.prompt_logprobs);
  output->set_echo(request.echo);
  output->set_special_tokens(request.special_tokens);
  if (request.resume.has_value()) {
    proto.mutable_resume()->mutable_token_ids()->Add(request.resume->token_ids.begin(),
                                                     request.resume->token_ids.end());
    proto.mutable_resume()->set_choice(request.resume->choice);
    if (request.resume->kept.has_value()) {
      proto.mutable_resume()->set_resume_token(ToResumeToken(*request.resume->kept));
    }
  }
  if (request.keep) proto.set_keep(true);
  return proto;
}

absl::StatusOr<UserRequest> FromProto(const v1::EmbedRequest& proto) {
  UserRequest request;
  RETURN_IF_ERROR(ReadCommon(proto, request));
  ASSIGN_OR_RETURN(request.pooling, FromProto(proto.pooling()));
  request.normalise = proto.normalize();
  return request;
}

absl::StatusOr<UserRequest> FromProto(const v1::ClassifyRequest& proto) {
  UserRequest request;
  RETURN_IF_ERROR(ReadCommon(proto, request));
  request.pooling = Pooling::kClasses;
  return request;
}

v1::EmbedRequest ToEmbedProto(const UserRequest& request) {
  v1::EmbedRequest proto;
  WriteCommon(request, proto);
  proto.set_pooling(ToProto(request.pooling));
  proto.set_normalize(request.normalise);
  return proto;
}

v1::ClassifyRequest ToClassifyProto(const UserRequest& request) {
  v1::ClassifyRequest proto;
  WriteCommon(request, proto);
  return proto;
}

absl::StatusOr<Delta> FromProto(const v1::GenerateResponse& proto) {
  Delta delta;
  if (proto.choice() < 0 || proto.choice() >= kMaxChoices) {
    return Refuse("choice is ", proto.choice(), "; it goes from 0 to ", kMaxChoices - 1);
  }
  delta.choice = proto.choice();
  if (proto.has_prompt_tokens()) {
    delta.opening = Opening{proto.prompt_tokens(), proto.seed(), proto.has_text()};
  }
  if (proto.has_resume_token()) {
    ASSIGN_OR_RETURN(delta.kept, FromResumeToken(proto.resume_token()));
  }
  delta.text = proto.text();
  RETURN_IF_ERROR(ReadDelta(proto, delta));
  return delta;
}

v1::GenerateResponse ResponseEncoder::operator()(const Delta& piece) const {
  v1::GenerateResponse proto;
  if (piece.opening.has_value()) {
    proto.set_prompt_tokens(piece.opening->prompt_tokens);
    proto.set_seed(piece.opening->seed);
    if (!request_id.empty()) proto.set_request_id(request_id);
    if (piece.opening->text) proto.set_text("");
  }
  if (piece.choice != 0) proto.set_choice(piece.choice);
  if (piece.kept.has_value()) proto.set_resume_token(ToResumeToken(*piece.kept));
  if (!piece.text.empty()) proto.set_text(piece.text);
  WriteDelta(piece, logprobs, proto);
  return proto;
}

void ResultBuilder::Add(const Delta& piece) {
  const v1::GenerateResponse part = encoder_(piece);
  if (part.has_prompt_tokens()) {
    result_.set_prompt_tokens(part.prompt_tokens());
    result_.set_seed(part.seed());
    if (part.has_request_id()) result_.set_request_id(part.request_id());
  }
  result_.mutable_prompt_logprobs()->MergeFrom(part.prompt_logprobs());
  while (result_.choices_size() <= part.choice()) result_.add_choices();
  v1::Choice* choice = result_.mutable_choices(part.choice());
  choice->mutable_tokens()->MergeFrom(part.tokens());
  if (part.has_text()) choice->mutable_text()->append(part.text());
  if (!part.has_finish_reason()) return;
  choice->set_finish_reason(part.finish_reason());
  if (part.has_stop_token_id()) choice->set_stop_token_id(part.stop_token_id());
  if (part.has_stop_string()) choice->set_stop_string(part.stop_string());
  const int32_t cached = part.usage().cached_tokens();
  v1::Usage* usage = result_.mutable_usage();
  usage->set_cached_tokens(usage->has_cached_tokens() ? std::min(usage->cached_tokens(), cached)
                                                      : cached);
  usage->set_prompt_tokens(part.usage().prompt_tokens());
  usage->set_output_tokens(usage->output_tokens() + part.usage().output_tokens());
}

v1::GenerateResult ResultBuilder::Take() { return std::move(result_); }

namespace {

void WriteUsage(const Usage& usage, v1::Usage* proto) {
  proto->set_prompt_tokens(usage.prompt_tokens);
  proto->set_output_tokens(usage.output_tokens);
  proto->set_cached_tokens(usage.cached_tokens);
}

Usage UsageOf(const v1::Usage& proto) {
  return {proto.prompt_tokens(), proto.output_tokens(), proto.cached_tokens()};
}

}  // namespace

void PooledAnswer::Add(const Delta& piece) {
  answer_.values.insert(answer_.values.end(), piece.values.begin(), piece.values.end());
  if (piece.finish == FinishReason::kNone) return;
  answer_.label = piece.label;
  answer_.usage = piece.usage;
}

v1::EmbedResponse PooledAnswer::TakeEmbedding() const {
  v1::EmbedResponse proto;
  if (!request_.request_id.empty()) proto.set_request_id(request_.request_id);
  const int32_t rows = request_.pooling == Pooling::kAll ? answer_.usage.prompt_tokens : 1;
  proto.set_width(static_cast<int32_t>(answer_.values.size()) / std::max(1, rows));
  proto.mutable_embedding()->Add(answer_.values.begin(), answer_.values.end());
  WriteUsage(answer_.usage, proto.mutable_usage());
  return proto;
}

v1::ClassifyResponse PooledAnswer::TakeClasses() const {
  v1::ClassifyResponse proto;
  if (!request_.request_id.empty()) proto.set_request_id(request_.request_id);
  proto.mutable_logits()->Add(answer_.values.begin(), answer_.values.end());
  const auto best = std::max_element(answer_.values.begin(), answer_.values.end());
  proto.set_best(static_cast<int32_t>(best - answer_.values.begin()));
  proto.set_label(answer_.label);
  WriteUsage(answer_.usage, proto.mutable_usage());
  return proto;
}

Delta DeltaOf(const v1::EmbedResponse& proto) {
  Delta delta;
  delta.finish = FinishReason::kPrompt;
  delta.values.assign(proto.embedding().begin(), proto.embedding().end());
  delta.usage = UsageOf(proto.usage());
  return delta;
}

Delta DeltaOf(const v1::ClassifyResponse& proto) {
  Delta delta;
  delta.finish = FinishReason::kPrompt;
  delta.values.assign(proto.logits().begin(), proto.logits().end());
  delta.label = proto.label();
  delta.usage = UsageOf(proto.usage());
  return delta;
}

}  // namespace expertmesh
