#include "coordinator/text/choice_text.h"

#include <algorithm>
#include <utility>

namespace expertmesh {

ChoiceText::ChoiceText(ChoiceTextOptions options, BytesOf bytes_of)
    : options_(std::move(options)), bytes_of_(std::move(bytes_of)), matcher_(options_.stop) {}

void ChoiceText::Resume(const std::vector<int32_t>& ids) {
  for (int32_t id : ids) Push(id, true);
  Release(false);
}

std::string ChoiceText::Add(const Delta& piece) {
  const bool ended = piece.finish != FinishReason::kNone;
  const bool by_id = ended && !piece.stop_string.has_value();
  for (size_t i = 0; i < piece.tokens.size(); ++i) {
    Push(piece.tokens[i].id, !by_id || i + 1 < piece.tokens.size());
  }
  return Release(ended);
}

void ChoiceText::Push(int32_t id, bool may_match) {
  if (matched_) return;
  const absl::string_view bytes = bytes_of_(id);
  kept_.append(bytes.data(), bytes.size());
  if (++tokens_ <= options_.min_tokens) {
    before_matcher_ += bytes.size();
    settled_ = before_matcher_;
    return;
  }
  if (!may_match) return;  // the last: all is released
  const auto match = matcher_.Push(bytes);
  settled_ = before_matcher_ + matcher_.settled();
  if (!match.has_value()) return;
  matched_ = true;
  const size_t shown_of_stop = options_.include_stop ? options_.stop[match->stop].size() : 0;
  settled_ = before_matcher_ + match->begin + shown_of_stop;
  kept_.resize(settled_ - shown_);
}

std::string ChoiceText::Release(bool all) {
  const uint64_t end = all ? shown_ + kept_.size() : settled_;
  std::string text = utf8_.Push(absl::string_view(kept_).substr(0, end - shown_));
  kept_.erase(0, end - shown_);
  shown_ = end;
  if (all) text += utf8_.Flush();
  return text;
}

}  // namespace expertmesh
