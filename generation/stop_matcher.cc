#include "generation/stop_matcher.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace expertmesh {

std::optional<StopMatcher::Match> StopMatcher::Push(absl::string_view bytes) {
  if (stops_.empty()) {
    settled_ += bytes.size();
    return std::nullopt;
  }
  tail_.append(bytes.data(), bytes.size());
  std::optional<Match> first;
  for (size_t i = 0; i < stops_.size(); ++i) {
    const size_t at = tail_.find(stops_[i]);
    if (at == std::string::npos) continue;
    const uint64_t begin = settled_ + at;
    const bool earlier = !first.has_value() || begin < first->begin;
    const bool longer =
        first.has_value() && begin == first->begin && stops_[i].size() > stops_[first->stop].size();
    if (earlier || longer) first = Match{i, begin};
  }
  const uint64_t settled = first.has_value() ? first->begin : FirstThatMayBegin();
  tail_.erase(0, settled - settled_);
  settled_ = settled;
  return first;
}

// The tail's longest end that a stop string begins with.
uint64_t StopMatcher::FirstThatMayBegin() const {
  size_t longest = 0;
  for (const std::string& stop : stops_) longest = std::max(longest, stop.size());
  const size_t from = tail_.size() - std::min(tail_.size(), longest - 1);
  for (size_t at = from; at < tail_.size(); ++at) {
    const absl::string_view end = absl::string_view(tail_).substr(at);
    for (const std::string& stop : stops_) {
      if (absl::StartsWith(stop, end)) return settled_ + at;
    }
  }
  return settled_ + tail_.size();
}

}  // namespace expertmesh
