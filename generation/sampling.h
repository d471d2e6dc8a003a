// sampling.h: how output ids are chosen: what a caller may ask for, as plain values.
//
// Raw logits -> allowed_token_ids and logit_bias -> repetition, presence and frequency penalty ->
// the ids that would end the output are masked while there are fewer than min_tokens -> temperature
// -> top_k -> top_p -> min_p -> draw. The defaults below change nothing and are what absence means.
// Bits: Kernels::Sample (kernels/ops.h). Reported logprobs are of the raw logits, whatever is set.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"

namespace expertmesh {

struct LogitBias {
  int32_t id = 0;
  float bias = 0;
  bool operator==(const LogitBias&) const = default;
};

struct SamplingParams {
  float temperature = 0;       // logits are divided by it; 0: the most likely id, ties to the lower
  int32_t top_k = 0;           // only this many of the most likely ids; 0: all
  float top_p = 1;             // the fewest most likely ids that have this probability together
  float min_p = 0;             // only ids at least this likely, as a share of the most likely one's
  float presence_penalty = 0;  // subtracted once from the logit of each id of the output so far
  float frequency_penalty = 0;  // subtracted as often as the id is in the output so far
  float repetition_penalty =
      1;  // divides logits above 0 of ids in prompt or output, else multiplies
  std::vector<LogitBias> logit_bias;                      // by id ascending, each id once
  std::optional<std::vector<int32_t>> allowed_token_ids;  // by id ascending; absent: every id
  std::optional<uint64_t> seed;  // absent: the front door draws one; where there is none, it is 0
  bool operator==(const SamplingParams&) const = default;
};

inline constexpr float kMaxTemperature = 100;
inline constexpr float kMaxPenalty = 2;  // presence and frequency, either sign
// Further out a logit might overflow, and -inf is what masks have.
inline constexpr float kLeastRepetitionPenalty = 0.01f;
inline constexpr float kMaxRepetitionPenalty = 100;
inline constexpr float kMaxLogitBias = 100;
inline constexpr int32_t kMaxLogitBiases = 1024;
inline constexpr int32_t kMaxAllowedTokenIds = 16384;

// OK, or INVALID_ARGUMENT with the field, the value and the bound. Ids are below `vocabulary`.
absl::Status ValidateSampling(const SamplingParams& params, int32_t vocabulary);

// Puts logit_bias and allowed_token_ids into the order that is asked for above; one that has too
// many entries stays as it is, to be refused.
void SortIds(SamplingParams& params);

}  // namespace expertmesh
