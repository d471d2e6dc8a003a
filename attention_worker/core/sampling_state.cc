#include "attention_worker/core/sampling_state.h"

#include <algorithm>
#include <utility>

namespace expertmesh {

SamplingState::SamplingState(const GenerateRequest& request, std::vector<int32_t> ending)
    : params_(request.sampling),
      choice_(request.choice),
      min_tokens_(request.min_tokens),
      ending_(std::move(ending)) {
  for (const LogitBias& entry : params_.logit_bias) {
    bias_ids_.push_back(entry.id);
    biases_.push_back(entry.bias);
  }
  output_index_ = static_cast<int32_t>(request.resumed.size());
  if (!penalises()) return;
  std::vector<int32_t> resumed = request.resumed;
  std::sort(resumed.begin(), resumed.end());
  seen_ids_ = request.prompt;
  seen_ids_.insert(seen_ids_.end(), resumed.begin(), resumed.end());
  std::sort(seen_ids_.begin(), seen_ids_.end());
  seen_ids_.erase(std::unique(seen_ids_.begin(), seen_ids_.end()), seen_ids_.end());
  for (int32_t id : seen_ids_) {
    const auto [begin, end] = std::equal_range(resumed.begin(), resumed.end(), id);
    seen_counts_.push_back(static_cast<int32_t>(end - begin));
  }
}

bool SamplingState::penalises() const {
  return params_.repetition_penalty != 1 || params_.presence_penalty != 0 ||
         params_.frequency_penalty != 0;
}

void SamplingState::Accept(int32_t id) {
  ++output_index_;
  if (!penalises()) return;
  const auto place = std::lower_bound(seen_ids_.begin(), seen_ids_.end(), id);
  const auto count = seen_counts_.begin() + (place - seen_ids_.begin());
  if (place != seen_ids_.end() && *place == id) {
    ++*count;
    return;
  }
  seen_counts_.insert(count, 1);
  seen_ids_.insert(place, id);
}

absl::Span<const int32_t> SamplingState::masked() const {
  if (output_index_ >= min_tokens_) return {};
  return ending_;
}

}  // namespace expertmesh
