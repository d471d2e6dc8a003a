#include "generation/sampling.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// The fewest digits that tell it from all other floats: 100.00001 does not read "100".
std::string Digits(float value) {
  if (value != value) return "nan";  // whatever its sign
  char digits[32];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// NaN is in no range.
absl::Status CheckRange(absl::string_view field, float value, float least, float most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Refuse(field, " is ", Digits(value), "; it goes from ", Digits(least), " to ",
                Digits(most));
}

// What is wrong with the ids of a list; `id_of(i)` reads one. The list was sorted since the caller
// wrote it, so ids are named, not places.
template <typename IdOf>
absl::Status CheckListedIds(absl::string_view field, size_t count, int32_t vocabulary, IdOf id_of) {
  for (size_t i = 0; i < count; ++i) {
    const int32_t id = id_of(i);
    if (id < 0 || id >= vocabulary) {
      return Refuse(field, " has id ", id, "; ids go from 0 to ", vocabulary - 1);
    }
    if (i > 0 && id == id_of(i - 1)) {
      return Refuse(field, " has id ", id, " more than once; each is there once at most");
    }
    if (i > 0 && id < id_of(i - 1)) {
      return Refuse(field, " has id ", id, " after id ", id_of(i - 1), "; ids ascend");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNumbers(const SamplingParams& params) {
  RETURN_IF_ERROR(CheckRange("temperature", params.temperature, 0, kMaxTemperature));
  if (params.top_k < 0) return Refuse("top_k is ", params.top_k, "; it is at least 0 (off)");
  if (!(params.top_p > 0 && params.top_p <= 1)) {
    return Refuse("top_p is ", Digits(params.top_p), "; it is above 0 and at most 1");
  }
  RETURN_IF_ERROR(CheckRange("min_p", params.min_p, 0, 1));
  RETURN_IF_ERROR(
      CheckRange("presence_penalty", params.presence_penalty, -kMaxPenalty, kMaxPenalty));
  RETURN_IF_ERROR(
      CheckRange("frequency_penalty", params.frequency_penalty, -kMaxPenalty, kMaxPenalty));
  return CheckRange("repetition_penalty", params.repetition_penalty, kLeastRepetitionPenalty,
                    kMaxRepetitionPenalty);
}

absl::Status CheckBiases(const SamplingParams& params, int32_t vocabulary) {
  const std::vector<LogitBias>& biases = params.logit_bias;
  if (biases.size() > kMaxLogitBiases) {
    return Refuse("logit_bias has ", biases.size(), " entries; at most ", kMaxLogitBiases);
  }
  RETURN_IF_ERROR(CheckListedIds("logit_bias", biases.size(), vocabulary,
                                 [&](size_t i) { return biases[i].id; }));
  for (const LogitBias& entry : biases) {
    RETURN_IF_ERROR(CheckRange(absl::StrCat("logit_bias of id ", entry.id), entry.bias,
                               -kMaxLogitBias, kMaxLogitBias));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateSampling(const SamplingParams& params, int32_t vocabulary) {
  RETURN_IF_ERROR(CheckNumbers(params));
  RETURN_IF_ERROR(CheckBiases(params, vocabulary));
  if (!params.allowed_token_ids.has_value()) return absl::OkStatus();
  const std::vector<int32_t>& allowed = *params.allowed_token_ids;
  if (allowed.empty()) return Refuse("allowed_tokens is empty; it has at least one id");
  if (allowed.size() > kMaxAllowedTokenIds) {
    return Refuse("allowed_tokens has ", allowed.size(), " entries; at most ", kMaxAllowedTokenIds);
  }
  return CheckListedIds("allowed_tokens", allowed.size(), vocabulary,
                        [&](size_t i) { return allowed[i]; });
}

void SortIds(SamplingParams& params) {
  if (params.logit_bias.size() <= kMaxLogitBiases) {
    std::stable_sort(params.logit_bias.begin(), params.logit_bias.end(),
                     [](const LogitBias& a, const LogitBias& b) { return a.id < b.id; });
  }
  if (!params.allowed_token_ids.has_value()) return;
  std::vector<int32_t>& allowed = *params.allowed_token_ids;
  if (allowed.size() <= kMaxAllowedTokenIds) std::sort(allowed.begin(), allowed.end());
}

}  // namespace expertmesh
