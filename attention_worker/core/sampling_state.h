// sampling_state.h: what decides a sequence's next id besides its logits: what the request asks
// for, the ids so far, and which random number it is.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "generation/request.h"

namespace expertmesh {

// Spans stay until Accept or the end of its life. Lists that nothing asks for are empty.
class SamplingState {
 public:
  // ending: the ids that would end the output (EndingIds). What the request resumes is accepted.
  SamplingState(const GenerateRequest& request, std::vector<int32_t> ending);

  // The next id of the output.
  void Accept(int32_t id);

  const SamplingParams& params() const { return params_; }
  uint64_t seed() const { return params_.seed.value_or(0); }
  int32_t choice() const { return choice_; }
  int32_t output_index() const { return output_index_; }  // of the id that is chosen next

  absl::Span<const int32_t> bias_ids() const { return bias_ids_; }
  absl::Span<const float> biases() const { return biases_; }
  // The ids of prompt and output, each once, ascending, and how often each is in the output.
  absl::Span<const int32_t> seen_ids() const { return seen_ids_; }
  absl::Span<const int32_t> seen_counts() const { return seen_counts_; }
  // What must not be chosen now, because it would end the output too early.
  absl::Span<const int32_t> masked() const;

 private:
  bool penalises() const;

  SamplingParams params_;
  int32_t choice_;
  int32_t min_tokens_;
  std::vector<int32_t> ending_;
  std::vector<int32_t> bias_ids_;
  std::vector<float> biases_;
  std::vector<int32_t> seen_ids_, seen_counts_;
  int32_t output_index_ = 0;
};

}  // namespace expertmesh
