#include "coordinator/text/choice_text.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

// Tokens of a tiny vocabulary.
const std::vector<std::string> kBytes = {"a", "b", "END", "EN", "D", "\xF0\x9F", "\x98\x80", ""};

std::vector<OutputToken> Tokens(const std::vector<int32_t>& ids) {
  std::vector<OutputToken> tokens;
  for (int32_t id : ids) tokens.push_back({id, 0, {}});
  return tokens;
}

ChoiceText Make(ChoiceTextOptions options = {}) {
  return ChoiceText(std::move(options), [](int32_t id) { return absl::string_view(kBytes[id]); });
}

TEST(ChoiceText, ShowsWhatIsCertainAtOnce) {
  ChoiceText text = Make();
  EXPECT_EQ(text.Add(Tokens({0, 1}), ChoiceText::End::kNot), "ab");
  EXPECT_EQ(text.Add(Tokens({7}), ChoiceText::End::kNot), "") << "a special token";
  EXPECT_EQ(text.Add(Tokens({2}), ChoiceText::End::kOtherwise), "END");
}

TEST(ChoiceText, NeverSplitsACharacter) {
  ChoiceText text = Make();
  EXPECT_EQ(text.Add(Tokens({0, 5}), ChoiceText::End::kNot), "a");
  EXPECT_EQ(text.Add(Tokens({6, 5}), ChoiceText::End::kNot), "\xF0\x9F\x98\x80");
  EXPECT_EQ(text.Add(Tokens({}), ChoiceText::End::kOtherwise), "\xEF\xBF\xBD") << "never completed";
}

TEST(ChoiceText, KeepsTheBeginningOfAStopStringBackAndNeverShowsOne) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Tokens({0, 3}), ChoiceText::End::kNot), "a");
  EXPECT_EQ(text.Add(Tokens({4}), ChoiceText::End::kByStopString), "");
  ChoiceText shown = Make({.stop = {"END"}, .include_stop = true});
  EXPECT_EQ(shown.Add(Tokens({0, 3}), ChoiceText::End::kNot), "a");
  EXPECT_EQ(shown.Add(Tokens({4}), ChoiceText::End::kByStopString), "END");
}

TEST(ChoiceText, LetsTheBeginningGoWhenItIsNone) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Tokens({3}), ChoiceText::End::kNot), "");
  EXPECT_EQ(text.Add(Tokens({0}), ChoiceText::End::kNot), "ENa");
  EXPECT_EQ(text.Add(Tokens({3}), ChoiceText::End::kNot), "");
  EXPECT_EQ(text.Add(Tokens({}), ChoiceText::End::kOtherwise), "EN") << "it ended otherwise";
}

// A token may complete a stop string and go on: what follows is not shown.
TEST(ChoiceText, CutsInsideTheTokenThatCompletesTheStopString) {
  ChoiceText text = Make({.stop = {"aE"}});
  EXPECT_EQ(text.Add(Tokens({1, 0}), ChoiceText::End::kNot), "b");
  EXPECT_EQ(text.Add(Tokens({2}), ChoiceText::End::kByStopString), "");
}

// The worker looks at ids first: a token that ended the answer as an id was output.
TEST(ChoiceText, ShowsATokenThatEndedTheAnswerAsAnId) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Tokens({0, 3}), ChoiceText::End::kNot), "a");
  EXPECT_EQ(text.Add(Tokens({4}), ChoiceText::End::kOtherwise), "END");
}

TEST(ChoiceText, StopStringsCountAfterMinTokens) {
  ChoiceText text = Make({.stop = {"END"}, .min_tokens = 2});
  EXPECT_EQ(text.Add(Tokens({2, 3}), ChoiceText::End::kNot), "ENDEN");
  EXPECT_EQ(text.Add(Tokens({4}), ChoiceText::End::kNot), "D") << "it began before";
  EXPECT_EQ(text.Add(Tokens({2}), ChoiceText::End::kByStopString), "");
}

// Whatever the cut, a resumed answer's text goes on where the first half's ended.
TEST(ChoiceText, GoesOnWhereAnAnswerBrokeOff) {
  const std::vector<int32_t> ids = {0, 5, 6, 3, 1, 3, 4};
  for (size_t cut = 0; cut < ids.size(); ++cut) {
    const std::vector<int32_t> before(ids.begin(), ids.begin() + cut);
    const std::vector<int32_t> after(ids.begin() + cut, ids.end());
    ChoiceText first = Make({.stop = {"END"}}), second = Make({.stop = {"END"}});
    std::string text = first.Add(Tokens(before), ChoiceText::End::kNot);
    second.Resume(before);
    text += second.Add(Tokens(after), ChoiceText::End::kByStopString);
    EXPECT_EQ(text,
              "a\xF0\x9F\x98\x80"
              "ENb")
        << cut;
  }
}

}  // namespace
}  // namespace expertmesh
