#include "coordinator/text/prepare.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/utf8.h"

namespace expertmesh {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// A caller's text in a message of ours.
std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 64;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "...\"" : "\"");
}

absl::Status CheckUtf8(absl::string_view field, absl::string_view text) {
  const size_t valid = ValidUtf8Bytes(text);
  if (valid == text.size()) return absl::OkStatus();
  return Refuse(field, " is not valid UTF-8 at byte ", valid);
}

absl::Status CheckTexts(const UserRequest& request) {
  RETURN_IF_ERROR(CheckUtf8("request_id", request.request_id));
  RETURN_IF_ERROR(CheckUtf8("model", request.model));
  RETURN_IF_ERROR(CheckUtf8("cache_salt", request.cache_salt));
  for (size_t i = 0; i < request.stop.size(); ++i) {
    RETURN_IF_ERROR(CheckUtf8(absl::StrCat("stop[", i, "]"), request.stop[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckMessages(const ChatPrompt& chat) {
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    const ChatTurn& message = chat.messages[i];
    constexpr absl::string_view kRoles[] = {"system", "user", "assistant", "tool"};
    if (std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles)) {
      return Refuse("chat.messages[", i, "].role is ", Quoted(message.role),
                    "; it is system, user, assistant or tool");
    }
    RETURN_IF_ERROR(CheckUtf8(absl::StrCat("chat.messages[", i, "].content"), message.content));
  }
  return absl::OkStatus();
}

// The prompt's tokens, and its text where that is at hand.
struct PromptTokens {
  std::vector<int32_t> ids;
  std::string text;
};

absl::StatusOr<PromptTokens> TokensOf(const UserRequest& request, const TextModel& model) {
  PromptTokens prompt;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    prompt.ids = *ids;
    if (!request.echo) return prompt;
    RETURN_IF_ERROR(NeedText(model, "echo"));
    prompt.text = TextOf(model, *ids, request.special_tokens);
  } else if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    RETURN_IF_ERROR(NeedText(model, "text"));
    if (text->empty()) return Refuse("text is empty; a prompt has at least one character");
    RETURN_IF_ERROR(CheckUtf8("text", *text));
    ASSIGN_OR_RETURN(prompt.ids, model.Tokenize(*text, /*special=*/true));
    prompt.text = *text;
  } else if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    RETURN_IF_ERROR(NeedText(model, "chat"));
    if (!model.has_chat()) {
      return absl::FailedPreconditionError(
          absl::StrCat("chat needs a chat template, and model ", model.name(), " has none"));
    }
    RETURN_IF_ERROR(CheckMessages(*chat));
    absl::StatusOr<std::string> rendered = model.RenderChat(*chat);
    // Also a bound of the template's: it is the request that goes beyond, and waiting does not
    // help.
    if (!rendered.ok()) return Refuse("chat.messages: ", rendered.status().message());
    prompt.text = *std::move(rendered);
    absl::StatusOr<std::vector<int32_t>> ids = model.Tokenize(prompt.text, /*special=*/false);
    if (!ids.ok()) return Annotate(ids.status(), "chat.messages, rendered");
    prompt.ids = *std::move(ids);
  } else {
    return Refuse("prompt is not set; it is one of token_ids, text and chat");
  }
  return prompt;
}

SamplingParams SamplingOf(const UserSampling& said, const GenerationConfig& recommended,
                          uint64_t drawn_seed) {
  SamplingParams sampling;
  const auto choose = [](const auto& first, const auto& second, auto& target) {
    if (second.has_value()) target = *second;
    if (first.has_value()) target = *first;
  };
  const auto temperature =
      recommended.do_sample ? std::optional(recommended.temperature.value_or(1)) : std::nullopt;
  choose(said.temperature, temperature, sampling.temperature);
  choose(said.top_k, recommended.top_k, sampling.top_k);
  choose(said.top_p, recommended.top_p, sampling.top_p);
  choose(said.min_p, recommended.min_p, sampling.min_p);
  choose(said.repetition_penalty, recommended.repetition_penalty, sampling.repetition_penalty);
  sampling.presence_penalty = said.presence_penalty.value_or(0);
  sampling.frequency_penalty = said.frequency_penalty.value_or(0);
  sampling.logit_bias = said.logit_bias;
  sampling.allowed_token_ids = said.allowed_token_ids;
  sampling.seed = said.seed.value_or(sampling.temperature > 0 ? drawn_seed : 0);
  SortIds(sampling);
  return sampling;
}

// Which of the n answers are to be made.
absl::StatusOr<std::vector<int32_t>> ChoicesOf(const UserRequest& request, const TextModel& model) {
  const int32_t n = request.sampling.n.value_or(1);
  if (n < 1 || n > kMaxChoices) return Refuse("n is ", n, "; it goes from 1 to ", kMaxChoices);
  const int32_t most =
      request.max_tokens.value_or(model.defaults().max_new_tokens.value_or(model.max_context()));
  if (n > 1 && int64_t{n} * most > kMaxTotalOutputTokens) {
    return Refuse("n is ", n, " and max_tokens is ", most,
                  request.max_tokens.has_value() ? "" : " (not set)", ": together ",
                  int64_t{n} * most, " tokens; at most ", kMaxTotalOutputTokens);
  }
  std::vector<int32_t> choices;
  if (request.resume.has_value()) {
    if (request.resume->choice < 0 || request.resume->choice >= n) {
      return Refuse("resume.choice is ", request.resume->choice, "; it goes from 0 to ", n - 1);
    }
    choices = {request.resume->choice};
  } else {
    for (int32_t choice = 0; choice < n; ++choice) choices.push_back(choice);
  }
  return choices;
}

absl::Status CheckResume(const UserRequest& request, const SamplingParams& sampling) {
  if (!request.resume.has_value() || request.sampling.seed.has_value()) return absl::OkStatus();
  if (sampling.temperature == 0) return absl::OkStatus();
  return Refuse("seed is not set; an answer is resumed with the seed that its first response told");
}

// A worker knows the context, and where the model is not at hand here, the vocabulary too.
absl::Status Validate(const GenerateRequest& request, const TextModel& model) {
  if (model.vocabulary() == 0) {
    const size_t tokens = request.prompt.size() + request.resumed.size();
    if (tokens > static_cast<size_t>(model.max_context())) {
      return Refuse("the prompt has ", tokens, " tokens; at most ", model.max_context());
    }
    return ValidateShape(request);
  }
  return ValidateRequest(request, {.vocabulary = model.vocabulary(),
                                   .max_context = model.max_context(),
                                   .text = model.has_text()});
}

}  // namespace

absl::StatusOr<Prepared> Prepare(const UserRequest& request, const TextModel& model,
                                 uint64_t drawn_seed) {
  RETURN_IF_ERROR(CheckTexts(request));
  if (!request.model.empty() && request.model != model.name()) {
    return Refuse("model is ", Quoted(request.model), "; served here is ", Quoted(model.name()));
  }
  if (!request.stop.empty()) RETURN_IF_ERROR(NeedText(model, "stop"));
  if (request.max_tokens.has_value() && *request.max_tokens < 1) {
    return Refuse("max_tokens is ", *request.max_tokens, "; it is at least 1");
  }
  Prepared prepared;
  ASSIGN_OR_RETURN(prepared.choices, ChoicesOf(request, model));
  ASSIGN_OR_RETURN(PromptTokens prompt, TokensOf(request, model));
  // What an answer begins with was given with its first tokens.
  const bool begins = !request.resume.has_value() || request.resume->token_ids.empty();
  if (request.echo && begins) prepared.echo = std::move(prompt.text);

  GenerateRequest& out = prepared.request;
  out.request_id = request.request_id;
  out.prompt = std::move(prompt.ids);
  if (request.resume.has_value()) out.resumed = request.resume->token_ids;
  out.sampling = SamplingOf(request.sampling, model.defaults(), drawn_seed);
  RETURN_IF_ERROR(CheckResume(request, out.sampling));
  out.max_tokens = request.max_tokens.value_or(0);
  out.default_max_tokens = model.defaults().max_new_tokens.value_or(0);
  out.min_tokens = request.min_tokens;
  out.stop = request.stop;
  out.special_tokens = request.special_tokens;
  out.stop_token_ids = request.stop_token_ids;
  out.ignore_eos = request.ignore_eos;
  out.logprobs = request.logprobs;
  out.top_logprobs = request.top_logprobs;
  out.prompt_logprobs = request.prompt_logprobs && begins;
  out.priority = request.priority;
  out.caller = request.caller;
  out.cache_salt = request.cache_salt;
  out.deadline = request.deadline;
  out.pooling = request.pooling;
  out.normalise = request.normalise;
  RETURN_IF_ERROR(Validate(out, model));
  return prepared;
}

}  // namespace expertmesh
