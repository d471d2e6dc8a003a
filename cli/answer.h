// answer.h: what a generation gave, gathered from its deltas, and printed for scripts and for
// people.
#pragma once

#include <string>
#include <vector>

#include "generation/delta.h"

namespace expertmesh {

struct Answer {
  bool prompt_logprobs_asked = false;
  std::vector<float> prompt_logprobs;
  std::vector<OutputToken> tokens;
  FinishReason finish = FinishReason::kNone;
  Usage usage;

  void Add(const Delta& delta);
};

// One JSON object on one line: token_ids, logprobs, top_logprobs, prompt_logprobs, finish_reason,
// usage. Numbers are printed so that the f32 bits survive: each is the exact f32 value as a double,
// in the shortest form that gives this double back. prompt_logprobs is null unless asked for; its
// first entry is null, since nothing comes before the first token.
std::string ToJson(const Answer& answer);

}  // namespace expertmesh
