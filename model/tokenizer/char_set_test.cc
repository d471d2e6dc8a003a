#include "model/tokenizer/char_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "model/tokenizer/unicode.h"

namespace expertmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

bool InAny(const CharRanges& ranges, char32_t character) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const CharRange& range) {
    return range.first <= character && character <= range.last;
  });
}

TEST(Normalized, SortsRangesAndJoinsThoseThatOverlapOrTouch) {
  EXPECT_THAT(Normalized({}), IsEmpty());
  EXPECT_THAT(Normalized({{5, 5}}), ElementsAre(CharRange{5, 5}));
  EXPECT_THAT(Normalized({{8, 9}, {1, 3}}), ElementsAre(CharRange{1, 3}, CharRange{8, 9}));
  EXPECT_THAT(Normalized({{1, 3}, {4, 6}}), ElementsAre(CharRange{1, 6}));
  EXPECT_THAT(Normalized({{1, 3}, {5, 6}}), ElementsAre(CharRange{1, 3}, CharRange{5, 6}));
  EXPECT_THAT(Normalized({{2, 4}, {1, 9}, {3, 5}}), ElementsAre(CharRange{1, 9}));
  EXPECT_THAT(Normalized({{0, kLastCharacter}, {7, 7}}), ElementsAre(CharRange{0, kLastCharacter}));
}

TEST(Complement, HasAllThatTheRangesHaveNot) {
  EXPECT_THAT(Complement({}), ElementsAre(CharRange{0, kLastCharacter}));
  EXPECT_THAT(Complement({{0, kLastCharacter}}), IsEmpty());
  EXPECT_THAT(Complement({{0, 4}}), ElementsAre(CharRange{5, kLastCharacter}));
  EXPECT_THAT(Complement({{5, kLastCharacter}}), ElementsAre(CharRange{0, 4}));
  EXPECT_THAT(Complement({{0, kLastCharacter - 1}}),
              ElementsAre(CharRange{kLastCharacter, kLastCharacter}));
  EXPECT_THAT(Complement({{2, 3}, {7, 7}}),
              ElementsAre(CharRange{0, 1}, CharRange{4, 6}, CharRange{8, kLastCharacter}));
}

TEST(CharSet, HasTheCharactersOfItsRangesAndNoOthers) {
  std::mt19937 random(20261129);
  const std::vector<CharRanges> cases = {
      {},
      {{0, 0}},
      {{kLastCharacter, kLastCharacter}},
      {{0, kLastCharacter}},
      {{0xFF, 0x100}},                   // over a page's end
      {{0x100, 0x2FF}},                  // two pages, whole
      {{0x1FF, 0x300}},                  // and a character on both sides
      {{0x120, 0x13F}, {0x15F, 0x160}},  // within one page, over its words
      {{0x3FF, 0x3FF}, {0x100, 0x100}, {0x101, 0x120}},
  };
  const auto expect_equal = [](const CharRanges& ranges) {
    const CharSet set(ranges);
    for (char32_t c = 0; c <= kLastCharacter; ++c) {
      ASSERT_EQ(set.Has(c), InAny(ranges, c)) << std::hex << static_cast<uint32_t>(c);
    }
  };
  for (const CharRanges& ranges : cases) expect_equal(ranges);
  for (int i = 0; i < 4; ++i) {
    CharRanges ranges;
    for (int j = 0; j < 6; ++j) {
      const char32_t first = random() % (kLastCharacter + 1);
      ranges.push_back({first, std::min<char32_t>(first + random() % 2000, kLastCharacter)});
    }
    expect_equal(ranges);
  }
  EXPECT_FALSE(CharSet().Has('a'));
}

TEST(CategoryRanges, AreNormalizedAndDisjoint) {
  CharRanges all;
  size_t ranges = 0;
  for (char major : {'L', 'M', 'N', 'P', 'S', 'Z'}) {
    const absl::StatusOr<CharRanges> category = CategoryRanges(major);
    ASSERT_TRUE(category.ok()) << category.status();
    EXPECT_EQ(Normalized(*category), *category);
    for (const CharRange& range : *category) {
      EXPECT_FALSE(InAny(all, range.first) || InAny(all, range.last)) << major;
    }
    all.insert(all.end(), category->begin(), category->end());
    ranges += category->size();
  }
  EXPECT_GT(ranges, 500u);
}

TEST(CategoryRanges, KnowTheCategoriesOfUnicode16) {
  struct Example {
    char major;
    char32_t character;
  };
  for (const Example& example : std::initializer_list<Example>{{'L', 'a'},
                                                               {'L', 0x4F60},
                                                               {'L', 0x1C89},  // since Unicode 16
                                                               {'M', 0x0301},
                                                               {'N', '7'},
                                                               {'N', 0x00BD},
                                                               {'P', '!'},
                                                               {'S', '+'},
                                                               {'S', 0x1FAE8},  // since Unicode 15
                                                               {'Z', ' '},
                                                               {'Z', 0x3000}}) {
    for (char major : {'L', 'M', 'N', 'P', 'S', 'Z'}) {
      EXPECT_EQ(CharSet(*CategoryRanges(major)).Has(example.character), major == example.major)
          << major << " " << static_cast<uint32_t>(example.character);
    }
  }
}

TEST(CategoryRanges, RefuseWhatIsNoMajorCategory) {
  EXPECT_EQ(CategoryRanges('X').status(),
            absl::InvalidArgumentError("found category X, expected one of LMNPSZ"));
  EXPECT_EQ(CategoryRanges('l').status(),
            absl::InvalidArgumentError("found category l, expected one of LMNPSZ"));
  EXPECT_EQ(CategoryRanges('\0').status(),
            absl::InvalidArgumentError("found category \\x00, expected one of LMNPSZ"));
}

TEST(NumericRanges, HaveAllNumbersNotDigitsAlone) {
  const CharSet numeric(*NumericRanges());
  for (char32_t c : {U'0', U'\u00BD', U'\u2167', U'\uFF14', U'\u0663'}) {
    EXPECT_TRUE(numeric.Has(c)) << static_cast<uint32_t>(c);
  }
  for (char32_t c : {U'a', U' ', U'\u4E00'}) EXPECT_FALSE(numeric.Has(c));
}

TEST(WhiteSpaceRanges, HaveTheNextLineAndNoControlOrZeroWidthSpace) {
  const CharSet white(WhiteSpaceRanges());
  EXPECT_EQ(Normalized(WhiteSpaceRanges()), WhiteSpaceRanges());
  for (char32_t c : {U'\t', U'\v', U'\f', U' ', char32_t{0x85}, U'\u00A0', U'\u2028', U'\u3000'}) {
    EXPECT_TRUE(white.Has(c)) << static_cast<uint32_t>(c);
  }
  for (char32_t c : {U'\0', char32_t{0x1C}, U'\u200B', U'\uFEFF', U'a'}) {
    EXPECT_FALSE(white.Has(c)) << static_cast<uint32_t>(c);
  }
}

}  // namespace
}  // namespace expertmesh
