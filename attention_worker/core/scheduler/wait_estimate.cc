#include "attention_worker/core/scheduler/wait_estimate.h"

#include <algorithm>

namespace expertmesh {

void WaitEstimate::OnAdmitted(Time now, bool others_wait) {
  if (last_.has_value()) {
    const double seconds = std::chrono::duration<double>(now - *last_).count();
    // The first samples are a plain mean.
    const double weight = std::max(kWeight, 1.0 / (samples_ + 1));
    mean_seconds_ += weight * (seconds - mean_seconds_);
    samples_ = std::min(samples_ + 1, 1 << 20);
    newest_ = now;
  }
  last_.reset();
  if (others_wait) last_ = now;
}

std::optional<Duration> WaitEstimate::For(Time now, size_t ahead) const {
  if (samples_ < kSamplesLeast || now - newest_ > kStaleAfter) return std::nullopt;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(mean_seconds_ * static_cast<double>(ahead + 1)));
}

}  // namespace expertmesh
