#include "model/tokenizer/split_pattern.h"

#include <algorithm>

#include "common/utf8.h"

namespace expertmesh {

std::optional<TextSpan> SplitPattern::Matches::Next() {
  while (at_ < text_.size() && budget_.Take()) {
    const size_t begin = at_;
    if (const std::optional<size_t> end = MatchAt(begin)) {
      at_ = *end;
      return TextSpan{begin, *end};
    }
    at_ += static_cast<size_t>(Utf8At(text_, at_).bytes);
  }
  return std::nullopt;
}

std::optional<size_t> SplitPattern::Matches::MatchAt(size_t at) {
  const auto first = static_cast<unsigned char>(text_[at]);
  uint64_t candidates = first < 0x80 ? pattern_.may_begin_[first] : ~uint64_t{0};
  for (size_t i = 0; i < pattern_.alternatives_.size(); ++i, candidates >>= 1) {
    if ((candidates & 1) == 0) continue;
    if (const std::optional<size_t> end = MatchItems(i, 0, at)) return end;
  }
  return std::nullopt;
}

// Where the alternative ends if its items from `item` on match at `at`.
std::optional<size_t> SplitPattern::Matches::MatchItems(size_t alternative, size_t item,
                                                        size_t at) {
  const Alternative& wanted = pattern_.alternatives_[alternative];
  if (item == wanted.items.size()) {
    return TailHolds(alternative, at) ? std::optional<size_t>(at) : std::nullopt;
  }
  for (int count = 0; count < wanted.items[item].min; ++count) {
    if (at == text_.size() || !budget_.Take()) return std::nullopt;
    const Utf8Char next = Utf8At(text_, at);
    if (!pattern_.SetHas(wanted.items[item].set, next.code)) return std::nullopt;
    at += static_cast<size_t>(next.bytes);
  }
  return MatchRun(alternative, item, at);
}

// The same, with the item's minimum already behind `at`: takes as much more as it can, then less
// and less of it until the rest matches.
std::optional<size_t> SplitPattern::Matches::MatchRun(size_t alternative, size_t item, size_t at) {
  const Item& wanted = pattern_.alternatives_[alternative].items[item];
  const bool unbounded = wanted.max == kUnbounded;
  FailedRun* failed = unbounded ? &failed_[static_cast<size_t>(wanted.memory)] : nullptr;
  size_t end = at;
  bool met = false;  // whether the run leads into one that is known to fail
  for (int count = wanted.min; unbounded || count < wanted.max; ++count) {
    if (unbounded && failed->Has(end)) {
      met = true;
      break;
    }
    if (end == text_.size()) break;
    if (!budget_.Take()) return std::nullopt;
    const Utf8Char next = Utf8At(text_, end);
    if (!pattern_.SetHas(wanted.set, next.code)) break;
    end += static_cast<size_t>(next.bytes);
  }
  bool try_end = !met;  // at the place where the two runs meet, the rest has failed already
  for (size_t place = end;; --place) {
    while (place > at && place < text_.size() && IsUtf8Continuation(text_[place])) --place;
    if (try_end) {
      if (!budget_.Take()) return std::nullopt;
      if (const auto rest = MatchItems(alternative, item + 1, place)) return rest;
    }
    try_end = true;
    if (place == at) break;
  }
  if (met) {
    failed->begin = std::min(failed->begin, at);
  } else if (unbounded) {
    *failed = {at, end};
  }
  return std::nullopt;
}

bool SplitPattern::Matches::TailHolds(size_t alternative, size_t at) const {
  const Alternative& wanted = pattern_.alternatives_[alternative];
  switch (wanted.tail) {
    case Tail::kNone:
      return true;
    case Tail::kLineEnd:
      return at == text_.size() || text_[at] == '\n';
    case Tail::kNotFollowedBy:
      return at == text_.size() || !pattern_.SetHas(wanted.tail_set, Utf8At(text_, at).code);
  }
  return false;
}

}  // namespace expertmesh
