#include "model/tokenizer/added_tokens.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "model/tokenizer/test_util.h"

namespace expertmesh {
namespace {

// Ids are places in the list.
std::vector<AddedToken> Tokens(const std::vector<std::string>& contents) {
  std::vector<AddedToken> tokens;
  for (const std::string& content : contents) {
    tokens.push_back({.id = static_cast<int32_t>(tokens.size()), .content = content});
  }
  return tokens;
}

struct Found {
  size_t begin = 0;
  size_t end = 0;
  int32_t id = 0;
  bool operator==(const Found&) const = default;
};

std::optional<Found> Find(const AddedTokenFinder& finder, absl::string_view text, size_t from = 0) {
  const auto match = finder.Find(text, from);
  if (!match) return std::nullopt;
  return Found{match->where.begin, match->where.end, match->token->id};
}

// By the words of the promise: the leftmost, and of those the longest.
std::optional<Found> FindSlowly(const std::vector<AddedToken>& tokens, absl::string_view text,
                                size_t from) {
  for (size_t at = from; at < text.size(); ++at) {
    std::optional<Found> longest;
    for (const AddedToken& token : tokens) {
      const size_t end = at + token.content.size();
      if (text.substr(at, token.content.size()) != token.content) continue;
      if (!longest || end > longest->end) longest = Found{at, end, token.id};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

TEST(AddedTokenFinder, FindsNothingWithoutTokens) {
  const AddedTokenFinder finder({});
  EXPECT_EQ(Find(finder, "text"), std::nullopt);
  EXPECT_EQ(Find(finder, ""), std::nullopt);
}

TEST(AddedTokenFinder, PrefersTheLeftmostToALongerOne) {
  const AddedTokenFinder finder(Tokens({"bcd", "ab"}));
  EXPECT_EQ(Find(finder, "abcd"), (Found{0, 2, 1}));
  EXPECT_EQ(Find(finder, "abcd", 1), (Found{1, 4, 0}));
}

TEST(AddedTokenFinder, PrefersTheLongestOfThoseThatBeginAlike) {
  const AddedTokenFinder finder(Tokens({"<s", "<", "<s>", "<sep>"}));
  EXPECT_EQ(Find(finder, "x<s>"), (Found{1, 4, 2}));
  EXPECT_EQ(Find(finder, "x<sep>"), (Found{1, 6, 3}));
  EXPECT_EQ(Find(finder, "x<sep"), (Found{1, 3, 0}));  // the longer one is not complete
  EXPECT_EQ(Find(finder, "x<t>"), (Found{1, 2, 1}));
}

TEST(AddedTokenFinder, BeginsWhereItIsTold) {
  const AddedTokenFinder finder(Tokens({"aa"}));
  EXPECT_EQ(Find(finder, "aaaa", 1), (Found{1, 3, 0}));
  EXPECT_EQ(Find(finder, "aaaa", 3), std::nullopt);
  EXPECT_EQ(Find(finder, "aaaa", 4), std::nullopt);
}

TEST(AddedTokenFinder, TakesTokensAsTheyStand) {
  const AddedTokenFinder finder(Tokens({"<\uFF5CUser\uFF5C>", "\n", "</s>"}));
  EXPECT_EQ(Find(finder, "word<\uFF5CUser\uFF5C>word"), (Found{4, 16, 0}));  // inside of a word
  EXPECT_EQ(Find(finder, " \n "), (Found{1, 2, 1}));  // and without the white space around it
  EXPECT_EQ(Find(finder, "</S>"), std::nullopt);
}

TEST(AddedTokenFinder, DoesAsASlowSearchOnRandomTokensAndTexts) {
  std::mt19937 random(20261130);
  const std::vector<std::string> alphabet = {"a", "b", "\u00E9"};
  for (int round = 0; round < 300; ++round) {
    std::set<std::string> contents;
    for (int i = 0; i < 6; ++i) contents.insert(RandomText(random, alphabet, 1 + random() % 4));
    const std::vector<AddedToken> tokens = Tokens({contents.begin(), contents.end()});
    const AddedTokenFinder finder(tokens);
    const std::string text = RandomText(random, alphabet, 12);
    for (size_t from = 0; from <= text.size(); ++from) {
      ASSERT_EQ(Find(finder, text, from), FindSlowly(tokens, text, from)) << text << " " << from;
    }
  }
}

}  // namespace
}  // namespace expertmesh
