#include "cli/answer.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace expertmesh {
namespace {

using nlohmann::ordered_json;

ordered_json TopOf(const OutputToken& token) {
  ordered_json top = ordered_json::array();
  for (const TokenLogprob& entry : token.top) {
    top.push_back({{"id", entry.id}, {"logprob", static_cast<double>(entry.logprob)}});
  }
  return top;
}

const char* NameOf(FinishReason finish) {
  return finish == FinishReason::kStop ? "stop" : finish == FinishReason::kLength ? "length" : "";
}

// What stopped it: the token's id, the string, or null.
ordered_json StopOf(const ChoiceAnswer& choice) {
  if (choice.stop_string.has_value()) return *choice.stop_string;
  if (choice.stop_token_id.has_value()) return *choice.stop_token_id;
  return nullptr;
}

ordered_json JsonOf(const ChoiceAnswer& choice, bool has_text) {
  ordered_json ids = ordered_json::array(), logprobs = ordered_json::array(),
               top = ordered_json::array(), text;
  for (const OutputToken& token : choice.tokens) {
    ids.push_back(token.id);
    logprobs.push_back(static_cast<double>(token.logprob));
    top.push_back(TopOf(token));
  }
  if (has_text) text = choice.text;
  return {{"token_ids", std::move(ids)},
          {"text", std::move(text)},
          {"logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(top)},
          {"finish_reason", NameOf(choice.finish)},
          {"stop", StopOf(choice)}};
}

}  // namespace

void Answer::Add(const Delta& delta) {
  if (delta.opening.has_value()) opening = *delta.opening;
  prompt_logprobs.insert(prompt_logprobs.end(), delta.prompt_logprobs.begin(),
                         delta.prompt_logprobs.end());
  ChoiceAnswer& choice = choices[delta.choice];
  choice.tokens.insert(choice.tokens.end(), delta.tokens.begin(), delta.tokens.end());
  choice.text += delta.text;
  if (delta.finish == FinishReason::kNone) return;
  choice.finish = delta.finish;
  choice.stop_token_id = delta.stop_token_id;
  choice.stop_string = delta.stop_string;
  choice.usage = delta.usage;
}

bool Answer::empty() const {
  return std::all_of(choices.begin(), choices.end(),
                     [](const auto& entry) { return entry.second.tokens.empty(); });
}

std::string ToJson(const Answer& answer) {
  ordered_json json, choices = ordered_json::array(), prompt;
  int32_t output_tokens = 0;
  int32_t cached_tokens = answer.choices.empty() ? 0 : INT32_MAX;
  for (const auto& [number, choice] : answer.choices) {
    choices.push_back(JsonOf(choice, answer.opening.text));
    output_tokens += choice.usage.output_tokens;
    cached_tokens = std::min(cached_tokens, choice.usage.cached_tokens);
  }
  if (choices.size() == 1) {
    json = std::move(choices[0]);
  } else {
    json["choices"] = std::move(choices);
  }
  if (answer.prompt_logprobs_asked) {
    prompt = ordered_json::array({nullptr});
    for (float logprob : answer.prompt_logprobs) prompt.push_back(static_cast<double>(logprob));
  }
  json["prompt_logprobs"] = std::move(prompt);
  json["usage"] = {{"prompt_tokens", answer.opening.prompt_tokens},
                   {"output_tokens", output_tokens},
                   {"cached_tokens", cached_tokens},
                   {"total_tokens", answer.opening.prompt_tokens + output_tokens}};
  json["seed"] = answer.opening.seed;
  return json.dump();
}

void PrintLive(const Delta& delta, const Answer& answer) {
  if (answer.opening.text) {
    std::fwrite(delta.text.data(), 1, delta.text.size(), stdout);
  } else {
    for (const OutputToken& token : delta.tokens) std::printf("%d ", token.id);
  }
  std::fflush(stdout);
}

void PrintChoices(const Answer& answer) {
  for (const auto& [number, choice] : answer.choices) {
    std::printf("-- %d\n", number);
    std::fwrite(choice.text.data(), 1, choice.text.size(), stdout);
    if (!answer.opening.text) {
      for (const OutputToken& token : choice.tokens) std::printf("%d ", token.id);
    }
    std::printf("\n");
  }
}

}  // namespace expertmesh
