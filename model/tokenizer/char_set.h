// char_set.h: a set of characters, built from ranges, asked quickly.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace expertmesh {

inline constexpr char32_t kLastCharacter = 0x10FFFF;

struct CharRange {
  char32_t first = 0;
  char32_t last = 0;  // inclusive
  bool operator==(const CharRange&) const = default;
};

// Ascending, disjoint, not adjacent.
using CharRanges = std::vector<CharRange>;

// The union of ranges in any order, which may overlap.
CharRanges Normalized(CharRanges ranges);

// All characters that are in none of `ranges`, which are normalized. Surrogates, which valid text
// does not have, may be in either.
CharRanges Complement(const CharRanges& ranges);

class CharSet {
 public:
  CharSet() : CharSet(CharRanges()) {}
  explicit CharSet(CharRanges ranges);  // in any order

  bool Has(char32_t character) const {
    const Page& page = pages_[page_of_[character >> kPageBits]];
    return (page[character >> 6 & 3] >> (character & 63) & 1) != 0;
  }

 private:
  static constexpr int kPageBits = 8;
  using Page = std::array<uint64_t, (1 << kPageBits) / 64>;

  std::array<uint16_t, (kLastCharacter >> kPageBits) + 1> page_of_;
  std::vector<Page> pages_;  // equal ones are shared
};

}  // namespace expertmesh
