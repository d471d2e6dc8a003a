#include "cli/answer.h"

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

}  // namespace

void Answer::Add(const Delta& delta) {
  prompt_logprobs.insert(prompt_logprobs.end(), delta.prompt_logprobs.begin(),
                         delta.prompt_logprobs.end());
  tokens.insert(tokens.end(), delta.tokens.begin(), delta.tokens.end());
  if (delta.finish == FinishReason::kNone) return;
  finish = delta.finish;
  usage = delta.usage;
}

std::string ToJson(const Answer& answer) {
  ordered_json ids = ordered_json::array(), logprobs = ordered_json::array(),
               top = ordered_json::array();
  for (const OutputToken& token : answer.tokens) {
    ids.push_back(token.id);
    logprobs.push_back(static_cast<double>(token.logprob));
    top.push_back(TopOf(token));
  }
  ordered_json prompt;  // null
  if (answer.prompt_logprobs_asked) {
    prompt = ordered_json::array({nullptr});
    for (float logprob : answer.prompt_logprobs) prompt.push_back(static_cast<double>(logprob));
  }
  const ordered_json json = {
      {"token_ids", std::move(ids)},
      {"logprobs", std::move(logprobs)},
      {"top_logprobs", std::move(top)},
      {"prompt_logprobs", std::move(prompt)},
      {"finish_reason", NameOf(answer.finish)},
      {"usage",
       {{"prompt_tokens", answer.usage.prompt_tokens},
        {"output_tokens", answer.usage.output_tokens},
        {"total_tokens", answer.usage.prompt_tokens + answer.usage.output_tokens}}},
  };
  return json.dump();
}

}  // namespace expertmesh
