#include "model/tokenizer/char_set.h"

#include <algorithm>
#include <map>
#include <utility>

namespace expertmesh {

CharRanges Normalized(CharRanges ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const CharRange& a, const CharRange& b) { return a.first < b.first; });
  CharRanges merged;
  for (const CharRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

CharRanges Complement(const CharRanges& ranges) {
  CharRanges rest;
  char32_t next = 0;
  for (const CharRange& range : ranges) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCharacter) rest.push_back({next, kLastCharacter});
  return rest;
}

CharSet::CharSet(CharRanges ranges) {
  ranges = Normalized(std::move(ranges));
  std::map<Page, uint16_t> known;
  auto range = ranges.begin();
  for (char32_t number = 0; number < page_of_.size(); ++number) {
    const char32_t begin = number << kPageBits;
    const char32_t last = begin + (1u << kPageBits) - 1;
    Page page = {};
    while (range != ranges.end() && range->last < begin) ++range;
    for (auto part = range; part != ranges.end() && part->first <= last; ++part) {
      for (char32_t i = std::max(part->first, begin); i <= std::min(part->last, last); ++i) {
        page[i >> 6 & 3] |= uint64_t{1} << (i & 63);
      }
    }
    const bool repeats = number > 0 && page == pages_[page_of_[number - 1]];
    if (repeats) {  // as most do: long ranges, and nothing between them
      page_of_[number] = page_of_[number - 1];
      continue;
    }
    const auto [entry, is_new] = known.try_emplace(page, static_cast<uint16_t>(pages_.size()));
    if (is_new) pages_.push_back(page);
    page_of_[number] = entry->second;
  }
}

}  // namespace expertmesh
