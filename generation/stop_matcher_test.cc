#include "generation/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

namespace expertmesh {
namespace {

// What a matcher says of an output that comes in these pieces.
struct Outcome {
  std::optional<StopMatcher::Match> match;
  size_t pieces = 0;  // taken
  std::vector<uint64_t> settled;
};

Outcome Feed(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(std::move(stops));
  Outcome outcome;
  for (const std::string& piece : pieces) {
    outcome.match = matcher.Push(piece);
    outcome.settled.push_back(matcher.settled());
    ++outcome.pieces;
    if (outcome.match.has_value()) break;
  }
  return outcome;
}

TEST(StopMatcher, WithoutStopsEverythingIsSettledAtOnce) {
  const Outcome outcome = Feed({}, {"ab", "", "c"});
  EXPECT_FALSE(outcome.match.has_value());
  EXPECT_EQ(outcome.settled, (std::vector<uint64_t>{2, 2, 3}));
}

TEST(StopMatcher, FindsAStringAcrossTokensAndKeepsItsBeginningBack) {
  const Outcome outcome = Feed({"END"}, {"xE", "N", "Dy", "z"});
  ASSERT_TRUE(outcome.match.has_value());
  EXPECT_EQ(outcome.pieces, 3u) << "at the very token";
  EXPECT_EQ(outcome.match->begin, 1u);
  EXPECT_EQ(outcome.settled, (std::vector<uint64_t>{1, 1, 1}));
}

TEST(StopMatcher, LetsGoOfABeginningThatIsNone) {
  EXPECT_EQ(Feed({"aab"}, {"a", "a", "a", "c"}).settled, (std::vector<uint64_t>{0, 0, 1, 4}));
}

TEST(StopMatcher, OfSeveralTheOneThatBeginsFirstCountsThenTheLonger) {
  Outcome outcome = Feed({"cd", "bcde"}, {"abcdef"});
  EXPECT_EQ(outcome.match->stop, 1u);
  EXPECT_EQ(outcome.match->begin, 1u);
  outcome = Feed({"b", "bc"}, {"abc"});
  EXPECT_EQ(outcome.match->stop, 1u);
  outcome = Feed({"b", "bc"}, {"ab", "c"});
  EXPECT_EQ(outcome.match->stop, 0u) << "what ends earlier is not waited past";
}

TEST(StopMatcher, NeverShowsAByteOfAStopString) {
  std::mt19937 random(7);
  for (int run = 0; run < 5000; ++run) {
    const auto word = [&](size_t most) {
      std::string out;
      for (size_t n = random() % most + 1; n > 0; --n) out += "ab"[random() % 2];
      return out;
    };
    std::vector<std::string> stops, pieces;
    for (size_t n = random() % 3 + 1; n > 0; --n) stops.push_back(word(4));
    for (size_t n = random() % 8 + 1; n > 0; --n) pieces.push_back(word(3));
    const Outcome outcome = Feed(stops, pieces);
    std::string text;
    uint64_t before = 0;
    for (size_t i = 0; i < outcome.pieces; ++i) {
      text += pieces[i];
      EXPECT_GE(outcome.settled[i], before);
      EXPECT_LE(outcome.settled[i], text.size());
      before = outcome.settled[i];
    }
    size_t first = std::string::npos;
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    ASSERT_EQ(outcome.match.has_value(), first != std::string::npos);
    if (outcome.match.has_value()) {
      EXPECT_EQ(outcome.match->begin, first);
      EXPECT_EQ(text.compare(first, stops[outcome.match->stop].size(), stops[outcome.match->stop]),
                0);
    }
    for (uint64_t settled : outcome.settled) EXPECT_LE(settled, first);
  }
}

}  // namespace
}  // namespace expertmesh
