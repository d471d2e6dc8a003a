#include "coordinator/text/choice_text.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

// Tokens of a tiny vocabulary.
const std::vector<std::string> kBytes = {"a", "b", "END", "EN", "D", "\xF0\x9F", "\x98\x80", ""};

enum class End { kNot, kStopString, kOtherwise };

Delta Piece(const std::vector<int32_t>& ids, End end = End::kNot) {
  Delta piece;
  for (int32_t id : ids) piece.tokens.push_back({id, 0, {}});
  if (end != End::kNot) piece.finish = FinishReason::kStop;
  if (end == End::kStopString) piece.stop_string = "END";
  return piece;
}

ChoiceText Make(ChoiceTextOptions options = {}) {
  return ChoiceText(std::move(options), [](int32_t id) { return absl::string_view(kBytes[id]); });
}

TEST(ChoiceText, ShowsWhatIsCertainAtOnce) {
  ChoiceText text = Make();
  EXPECT_EQ(text.Add(Piece({0, 1})), "ab");
  EXPECT_EQ(text.Add(Piece({7})), "") << "a special token";
  EXPECT_EQ(text.Add(Piece({2}, End::kOtherwise)), "END");
}

TEST(ChoiceText, NeverSplitsACharacter) {
  ChoiceText text = Make();
  EXPECT_EQ(text.Add(Piece({0, 5})), "a");
  EXPECT_EQ(text.Add(Piece({6, 5})), "\xF0\x9F\x98\x80");
  EXPECT_EQ(text.Add(Piece({}, End::kOtherwise)), "\xEF\xBF\xBD") << "never completed";
}

TEST(ChoiceText, KeepsTheBeginningOfAStopStringBackAndNeverShowsOne) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Piece({0, 3})), "a");
  EXPECT_EQ(text.Add(Piece({4}, End::kStopString)), "");
  ChoiceText shown = Make({.stop = {"END"}, .include_stop = true});
  EXPECT_EQ(shown.Add(Piece({0, 3})), "a");
  EXPECT_EQ(shown.Add(Piece({4}, End::kStopString)), "END");
}

TEST(ChoiceText, LetsTheBeginningGoWhenItIsNone) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Piece({3})), "");
  EXPECT_EQ(text.Add(Piece({0})), "ENa");
  EXPECT_EQ(text.Add(Piece({3})), "");
  EXPECT_EQ(text.Add(Piece({}, End::kOtherwise)), "EN") << "it ended otherwise";
}

// A token may complete a stop string and go on: what follows is not shown.
TEST(ChoiceText, CutsInsideTheTokenThatCompletesTheStopString) {
  ChoiceText text = Make({.stop = {"aE"}});
  EXPECT_EQ(text.Add(Piece({1, 0})), "b");
  EXPECT_EQ(text.Add(Piece({2}, End::kStopString)), "");
}

// The worker looks at ids first: a token that ended the answer as an id was output.
TEST(ChoiceText, ShowsATokenThatEndedTheAnswerAsAnId) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Piece({0, 3})), "a");
  EXPECT_EQ(text.Add(Piece({4}, End::kOtherwise)), "END");
}

TEST(ChoiceText, StopStringsCountAfterMinTokens) {
  ChoiceText text = Make({.stop = {"END"}, .min_tokens = 2});
  EXPECT_EQ(text.Add(Piece({2, 3})), "ENDEN");
  EXPECT_EQ(text.Add(Piece({4})), "D") << "it began before";
  EXPECT_EQ(text.Add(Piece({2}, End::kStopString)), "");
}

// Whatever the cut, a resumed answer's text goes on where the first half's ended.
TEST(ChoiceText, GoesOnWhereAnAnswerBrokeOff) {
  const std::vector<int32_t> ids = {0, 5, 6, 3, 1, 3, 4};
  for (size_t cut = 0; cut < ids.size(); ++cut) {
    const std::vector<int32_t> before(ids.begin(), ids.begin() + cut);
    const std::vector<int32_t> after(ids.begin() + cut, ids.end());
    ChoiceText first = Make({.stop = {"END"}}), second = Make({.stop = {"END"}});
    std::string text = first.Add(Piece(before));
    second.Resume(before);
    text += second.Add(Piece(after, End::kStopString));
    EXPECT_EQ(text,
              "a\xF0\x9F\x98\x80"
              "ENb")
        << cut;
  }
}

}  // namespace
}  // namespace expertmesh
