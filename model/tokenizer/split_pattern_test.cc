#include "model/tokenizer/split_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr int64_t kPlenty = 1 << 20;

std::vector<std::string> MatchesOf(absl::string_view regex, absl::string_view text) {
  const absl::StatusOr<SplitPattern> pattern = SplitPattern::Parse(regex);
  EXPECT_TRUE(pattern.ok()) << regex << ": " << pattern.status();
  std::vector<std::string> found;
  if (!pattern.ok()) return found;
  StepBudget budget{kPlenty};
  SplitPattern::Matches matches(*pattern, text, budget);
  while (const auto match = matches.Next()) {
    found.emplace_back(text.substr(match->begin, match->end - match->begin));
  }
  EXPECT_GT(budget.left, 0);
  return found;
}

struct Understood {
  const char* regex;
  const char* text;
  std::vector<std::string> matches;
};

void ExpectMatches(const std::vector<Understood>& table) {
  for (const Understood& row : table) {
    EXPECT_THAT(MatchesOf(row.regex, row.text), ElementsAreArray(row.matches))
        << row.regex << " on \"" << row.text << '"';
  }
}

TEST(SplitPattern, MatchesSetsOfCharacters) {
  ExpectMatches({
      {"a", "abca", {"a", "a"}},
      {"\u00E9", "e\u00E9", {"\u00E9"}},
      {"x-y", "x-y", {"x-y"}},  // outside of brackets - is a character
      {"\\r\\n\\t\\f\\v", "\r\n\t\f\v", {"\r\n\t\f\v"}},
      {"\\.\\*\\[\\]\\-\\\\\\|\\$\\(\\)\\{\\}\\?\\+\\^\\/",
       ".*[]-\\|$(){}?+^/",
       {".*[]-\\|$(){}?+^/"}},
      {"[abc]", "xbyc", {"b", "c"}},
      {"[a-c]", "abcd-", {"a", "b", "c"}},
      {"[^a-c]", "abcd-", {"d", "-"}},
      {"[a\\-c]", "abc-", {"a", "c", "-"}},
      {"[a^]", "^b", {"^"}},
      {"[.$|(){}*+?&]", ".a&", {".", "&"}},
      {"[\\[-\\]]", "[\\]a", {"[", "\\", "]"}},
      {"[\u4E00-\u9FA5]+", "ab\u4F60\u597Dc", {"\u4F60\u597D"}},
      {"\\s", "a \u3000\u0085\u200B", {" ", "\u3000", "\u0085"}},
      {"\\S", " a\u3000\u200B", {"a", "\u200B"}},
      {"[^\\s]+", "ab cd", {"ab", "cd"}},
      {"\\p{L}+", "ab1\u00E9\u4F60", {"ab", "\u00E9\u4F60"}},
      {"\\P{L}+", "ab1 \u00E9", {"1 "}},
      {"[\\p{L}\\p{M}]+", "e\u0301a1", {"e\u0301a"}},
      {"[^\\P{L}a]", "ab", {"b"}},
      {"[^\\s\\S]", "a b", {}},  // a set that has no character matches none
  });
}

TEST(SplitPattern, RepeatsItemsAsOftenAsItCan) {
  ExpectMatches({
      {"a?b", "aabb", {"ab", "b"}},
      {"a*b", "aabb", {"aab", "b"}},
      {"a+", "aaba", {"aa", "a"}},
      {"a{2}", "aaaaa", {"aa", "aa"}},
      {"a{2,}", "aaaaaba", {"aaaaa"}},
      {"a{1,3}", "aaaaa", {"aaa", "aa"}},
      {"a{0,2}b", "aaabb", {"aab", "b"}},
      {"a{0,1}b", "aab", {"ab"}},
      {"\\p{N}{1,3}", "12345", {"123", "45"}},
      {"a{64}", "a", {}},
  });
}

TEST(SplitPattern, GivesBackWhatTheRestNeeds) {
  ExpectMatches({
      {"a*a", "aaa", {"aaa"}},
      {"a+ab", "aaab", {"aaab"}},
      {"a{1,3}aab", "aaaab", {"aaaab"}},
      {"a?ab", "ab", {"ab"}},
      {"[ab]+b", "abba", {"abb"}},
      {"\\s*[\\r\\n]+", " \n \n x", {" \n \n"}},
      {"\u00E9*\u00E9", "\u00E9\u00E9", {"\u00E9\u00E9"}},  // by whole characters
      {"a*b*c", "aabbaabbc", {"aabbc"}},
  });
}

TEST(SplitPattern, TriesAlternativesInOrder) {
  ExpectMatches({
      {"a|ab", "ab", {"a"}},
      {"ab|a", "aba", {"ab", "a"}},
      {"b|a", "ab", {"a", "b"}},  // but the leftmost place first
      {"ac|ab|a", "abac", {"ab", "ac"}},
      {"a+$|a", "aab", {"a", "a"}},
  });
}

TEST(SplitPattern, KnowsTheEndOfALine) {
  ExpectMatches({
      {"a$", "a\nab", {"a"}},
      {"a$", "ba", {"a"}},
      {"a$", "a\r\na", {"a"}},  // not before a carriage return
      {"\\s+$", "a  \n  b  ", {"  ", "  "}},
      {"\\s+$", "a \n\n", {" \n\n"}},
      {"\\s+$", "a  b", {}},
  });
}

TEST(SplitPattern, LooksAheadForASetThatMustNotFollow) {
  ExpectMatches({
      {"a(?!b)", "abaca", {"a", "a"}},
      {"\\s+(?!\\S)", "a   b", {"  "}},
      {"\\s+(?!\\S)|\\s+", "a   b c", {"  ", " ", " "}},
      {"\\s+(?!\\S)", "a  ", {"  "}},
      {"a+(?![ab])", "aab", {}},
      {"a(?!\\p{L})|b", "a1ab", {"a", "b"}},
  });
}

TEST(SplitPattern, MatchesPublishedPatternsOnSmallTexts) {
  // Of DeepSeek-V3.
  constexpr char kV3[] =
      "[!\"#$%&'()*+,\\-./"
      ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
      " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
  ExpectMatches({
      {kV3, "don't", {"don", "'t"}},
      {kV3, "a b  c", {"a", " b", " ", " c"}},
      {kV3, "x = 1;\n\ny", {"x", " =", " ", ";\n\n", "y"}},
      {kV3, " \n \n  z", {" \n \n", " ", " z"}},
      {kV3, "e\u0301", {"e\u0301"}},
      {kV3, "[ab]", {"[ab", "]"}},
  });
}

TEST(SplitPattern, FindsNothingInNoText) { EXPECT_THAT(MatchesOf("a", ""), IsEmpty()); }

struct Refused {
  std::string regex;
  std::string message;
};

void ExpectRefused(const std::vector<Refused>& table) {
  for (const Refused& row : table) {
    EXPECT_EQ(SplitPattern::Parse(row.regex).status(), absl::InvalidArgumentError(row.message))
        << row.regex;
  }
}

TEST(SplitPattern, RefusesItemsThatItDoesNotUnderstandByPlaceAndName) {
  constexpr char kSet[] = "expected a character, a set or an escape";
  constexpr char kEmpty[] = "expected no alternative that matches the empty text";
  constexpr char kDoubled[] = "expected no lazy, possessive or doubled quantifier";
  constexpr char kNumber[] = "expected a number up to 64";
  constexpr char kBounds[] = "expected bounds that are ascending and not zero";
  ExpectRefused({
      {"", absl::StrCat("at byte 0: ", kEmpty)},
      {"a|", absl::StrCat("at byte 2: ", kEmpty)},
      {"a||b", absl::StrCat("at byte 2: ", kEmpty)},
      {"a*", absl::StrCat("at byte 2: ", kEmpty)},
      {"a?b{0,3}|c", absl::StrCat("at byte 8: ", kEmpty)},
      {"$", absl::StrCat("at byte 1: ", kEmpty)},
      {"(?!a)", absl::StrCat("at byte 5: ", kEmpty)},
      {"(a)", absl::StrCat("at byte 0: ", kSet)},
      {"(?:a)", absl::StrCat("at byte 0: ", kSet)},
      {"(?i)a", absl::StrCat("at byte 0: ", kSet)},
      {"a(?=b)", absl::StrCat("at byte 1: ", kSet)},
      {"a(?<!b)", absl::StrCat("at byte 1: ", kSet)},
      {"a)", absl::StrCat("at byte 1: ", kSet)},
      {".", absl::StrCat("at byte 0: ", kSet)},
      {"^a", absl::StrCat("at byte 0: ", kSet)},
      {"*a", absl::StrCat("at byte 0: ", kSet)},
      {"a]", absl::StrCat("at byte 1: ", kSet)},
      {"a}", absl::StrCat("at byte 1: ", kSet)},
      {"a+?", absl::StrCat("at byte 2: ", kDoubled)},
      {"a++", absl::StrCat("at byte 2: ", kDoubled)},
      {"a?*", absl::StrCat("at byte 2: ", kDoubled)},
      {"a{2}{3}", absl::StrCat("at byte 4: ", kDoubled)},
      {"a{", absl::StrCat("at byte 2: ", kNumber)},
      {"a{x}", absl::StrCat("at byte 2: ", kNumber)},
      {"a{,2}", absl::StrCat("at byte 2: ", kNumber)},
      {"a{65}", absl::StrCat("at byte 4: ", kNumber)},
      {"a{1,99999999999}", absl::StrCat("at byte 6: ", kNumber)},
      {"a{2", "at byte 3: expected \"}\""},
      {"a{2,1}", absl::StrCat("at byte 6: ", kBounds)},
      {"a{0}", absl::StrCat("at byte 4: ", kBounds)},
      {"a{0,0}", absl::StrCat("at byte 6: ", kBounds)},
      {"a$b", "at byte 2: expected the pattern's end"},
      {"a$$", "at byte 2: expected the pattern's end"},
      {"a(?!b)c", "at byte 6: expected the pattern's end"},
      {"a(?!b)+", "at byte 6: expected the pattern's end"},
      {"a(?!bc)", "at byte 5: expected \")\" after one set"},
      {"a(?!", "at byte 4: expected a set"},
      {"a\xFF", "not UTF-8 at byte 1"},
      {std::string(65, 'a'), "at byte 65: expected at most 64 items"},
      {std::string(4097, 'a'), "found 4097 bytes, expected at most 4096"},
  });
}

TEST(SplitPattern, RefusesSetsThatItDoesNotUnderstandByPlaceAndName) {
  constexpr char kMember[] = "expected \\[, \\- or \\& in a set";
  constexpr char kRange[] = "expected one character on both sides of -";
  constexpr char kAscending[] = "expected a range that ascends to one character";
  constexpr char kEscape[] = "expected \\ before r n t f v s S p P or punctuation";
  constexpr char kCategory[] = "expected {X}, with X a major category";
  ExpectRefused({
      {"[a", "at byte 2: expected \"]\""},
      {"[]", "at byte 2: expected a set that is not empty"},
      {"[^]", "at byte 3: expected a set that is not empty"},
      {"[[:alpha:]]", absl::StrCat("at byte 1: ", kMember)},
      {"[a&&b]", absl::StrCat("at byte 2: ", kMember)},
      {"[-a]", absl::StrCat("at byte 1: ", kMember)},
      {"[a-b-c]", absl::StrCat("at byte 4: ", kMember)},
      {"[a-]", absl::StrCat("at byte 3: ", kRange)},
      {"[a-[b]]", absl::StrCat("at byte 3: ", kRange)},
      {"[\\s-a]", absl::StrCat("at byte 4: ", kRange)},
      {"[a-\\s]", absl::StrCat("at byte 5: ", kAscending)},
      {"[b-a]", absl::StrCat("at byte 4: ", kAscending)},
      {"\\", "at byte 1: expected a character after \\"},
      {"\\d", absl::StrCat("at byte 1: ", kEscape)},
      {"\\w+", absl::StrCat("at byte 1: ", kEscape)},
      {"a\\b", absl::StrCat("at byte 2: ", kEscape)},
      {"\\1", absl::StrCat("at byte 1: ", kEscape)},
      {"\\\u00E9", absl::StrCat("at byte 1: ", kEscape)},
      {"[\\x41]", absl::StrCat("at byte 2: ", kEscape)},
      {"\\p", absl::StrCat("at byte 2: ", kCategory)},
      {"\\pL", absl::StrCat("at byte 2: ", kCategory)},
      {"\\p{Lu}", absl::StrCat("at byte 2: ", kCategory)},
      {"\\p{^L}", absl::StrCat("at byte 2: ", kCategory)},
      {"\\p{C}", "at byte 2: found category C, expected one of LMNPSZ"},
  });
}

TEST(SplitPattern, TakesWhatIsAtItsBounds) {
  const std::string items(kPatternItemsMax, 'a');
  EXPECT_THAT(MatchesOf(items, items + "a"), ElementsAreArray({items}));
  std::string alternatives = "a";
  for (int i = 1; i < kPatternItemsMax; ++i) alternatives += i + 1 < kPatternItemsMax ? "|a" : "|b";
  EXPECT_THAT(MatchesOf(alternatives, "b"), ElementsAreArray({"b"}));  // the 64th
  std::string longest = "[";
  longest.resize(kPatternBytesMax - 1, 'a');
  longest += "]";
  EXPECT_THAT(MatchesOf(longest, "ba"), ElementsAreArray({"a"}));
}

// The steps that all matches take.
int64_t StepsOf(absl::string_view regex, absl::string_view text) {
  const absl::StatusOr<SplitPattern> pattern = SplitPattern::Parse(regex);
  EXPECT_TRUE(pattern.ok()) << regex;
  constexpr int64_t kMany = int64_t{1} << 40;
  StepBudget budget{kMany};
  SplitPattern::Matches matches(*pattern, text, budget);
  while (matches.Next()) {
  }
  return kMany - budget.left;
}

TEST(SplitPattern, CountsEachPlaceAndEachCharacterAsAStep) {
  EXPECT_EQ(StepsOf("a", "bbb"), 3);
  // At 0: the place, the first a, two more and the c, then b is sought at 3, 2 and 1: each the
  // place and its character. At 1 and 2: the place and an a, which leads into the run that failed.
  EXPECT_EQ(StepsOf("a+b", "aaac"), 1 + 1 + 3 + 3 * 2 + 2 * 2 + 1);
}

TEST(SplitPattern, TakesLinearTimeWhereABacktrackingEngineTakesQuadratic) {
  for (const char* regex :
       {"\\s+$", "\\s*[\\r\\n]+", "a?\\s+$", "\\s{2,}$", "\\s*b", "[\\sa]*b|\\s+c"}) {
    const int64_t few = StepsOf(regex, std::string(1000, ' ') + "a");
    const int64_t many = StepsOf(regex, std::string(10'000, ' ') + "a");
    EXPECT_LT(many, 11 * few) << regex;
  }
}

TEST(SplitPattern, StopsWhenItsBudgetIsSpent) {
  const absl::StatusOr<SplitPattern> pattern = SplitPattern::Parse("[ab]+b");
  ASSERT_TRUE(pattern.ok());
  const std::string text = "bbbbabbb";
  const int64_t needed = StepsOf("[ab]+b", text);
  for (int64_t steps = 0; steps <= needed; ++steps) {
    StepBudget budget{steps};
    SplitPattern::Matches matches(*pattern, text, budget);
    const auto match = matches.Next();
    EXPECT_EQ(match.has_value(), steps == needed) << steps;
    if (match) {
      EXPECT_EQ(*match, (TextSpan{0, text.size()}));
    }
    EXPECT_FALSE(matches.Next().has_value());
    EXPECT_EQ(budget.left, 0);
  }
}

}  // namespace
}  // namespace expertmesh
