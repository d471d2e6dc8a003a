// answer.h: what a generation gave, gathered from its deltas, and printed for scripts and for
// people.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "generation/delta.h"

namespace expertmesh {

// One of the answers to a prompt.
struct ChoiceAnswer {
  std::vector<OutputToken> tokens;
  std::string text;
  FinishReason finish = FinishReason::kNone;
  std::optional<int32_t> stop_token_id;
  std::optional<std::string> stop_string;
  Usage usage;
};

struct Answer {
  bool prompt_logprobs_asked = false;
  std::vector<float> prompt_logprobs;
  Opening opening;
  std::map<int32_t, ChoiceAnswer> choices;  // by number

  void Add(const Delta& delta);
  bool empty() const;  // nothing was made
};

// One JSON object on one line. Of one choice: token_ids, text, logprobs, top_logprobs,
// prompt_logprobs, finish_reason, stop, usage, seed; of several the same, with what belongs to each
// in `choices`. Numbers are printed so that the f32 bits survive: each is the exact f32 value as a
// double, in the shortest form that gives this double back. prompt_logprobs is null unless asked
// for; its first entry is null, since nothing comes before the first token. text is null where the
// server has no tokenizer.
std::string ToJson(const Answer& answer);

// A piece as it comes: its text, or its ids where there is none.
void PrintLive(const Delta& delta, const Answer& answer);
// All choices, one after the other, under a line with its number.
void PrintChoices(const Answer& answer);

}  // namespace expertmesh
