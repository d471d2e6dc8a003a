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
  EXPECT_EQ(text.Add(Tokens({0, 1}), FinishReason::kNone), "ab");
  EXPECT_EQ(text.Add(Tokens({7}), FinishReason::kNone), "") << "a special token";
  EXPECT_EQ(text.Add(Tokens({2}), FinishReason::kLength), "END");
}

TEST(ChoiceText, NeverSplitsACharacter) {
  ChoiceText text = Make();
  EXPECT_EQ(text.Add(Tokens({0, 5}), FinishReason::kNone), "a");
  EXPECT_EQ(text.Add(Tokens({6, 5}), FinishReason::kNone), "\xF0\x9F\x98\x80");
  EXPECT_EQ(text.Add(Tokens({}), FinishReason::kLength), "\xEF\xBF\xBD") << "never completed";
}

TEST(ChoiceText, KeepsTheBeginningOfAStopStringBackAndNeverShowsOne) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Tokens({0, 3}), FinishReason::kNone), "a");
  EXPECT_EQ(text.Add(Tokens({4}), FinishReason::kStop), "");
  ChoiceText shown = Make({.stop = {"END"}, .include_stop = true});
  EXPECT_EQ(shown.Add(Tokens({0, 3}), FinishReason::kNone), "a");
  EXPECT_EQ(shown.Add(Tokens({4}), FinishReason::kStop), "END");
}

TEST(ChoiceText, LetsTheBeginningGoWhenItIsNone) {
  ChoiceText text = Make({.stop = {"END"}});
  EXPECT_EQ(text.Add(Tokens({3}), FinishReason::kNone), "");
  EXPECT_EQ(text.Add(Tokens({0}), FinishReason::kNone), "ENa");
  EXPECT_EQ(text.Add(Tokens({3}), FinishReason::kNone), "");
  EXPECT_EQ(text.Add(Tokens({}), FinishReason::kLength), "EN") << "it ended otherwise";
}

// A token may complete a stop string and go on: what follows is not shown.
TEST(ChoiceText, CutsInsideTheTokenThatCompletesTheStopString) {
  ChoiceText text = Make({.stop = {"aE"}});
  EXPECT_EQ(text.Add(Tokens({1, 0}), FinishReason::kNone), "b");
  EXPECT_EQ(text.Add(Tokens({2}), FinishReason::kStop), "");
}

TEST(ChoiceText, StopStringsCountAfterMinTokens) {
  ChoiceText text = Make({.stop = {"END"}, .min_tokens = 2});
  EXPECT_EQ(text.Add(Tokens({2, 3}), FinishReason::kNone), "ENDEN");
  EXPECT_EQ(text.Add(Tokens({4}), FinishReason::kNone), "D") << "it began before";
  EXPECT_EQ(text.Add(Tokens({2}), FinishReason::kStop), "");
}

// Whatever the cut, a resumed answer's text goes on where the first half's ended.
TEST(ChoiceText, GoesOnWhereAnAnswerBrokeOff) {
  const std::vector<int32_t> ids = {0, 5, 6, 3, 1, 3, 4};
  for (size_t cut = 0; cut < ids.size(); ++cut) {
    const std::vector<int32_t> before(ids.begin(), ids.begin() + cut);
    const std::vector<int32_t> after(ids.begin() + cut, ids.end());
    ChoiceText first = Make({.stop = {"END"}}), second = Make({.stop = {"END"}});
    std::string text = first.Add(Tokens(before), FinishReason::kNone);
    second.Resume(before);
    text += second.Add(Tokens(after), FinishReason::kStop);
    EXPECT_EQ(text,
              "a\xF0\x9F\x98\x80"
              "ENb")
        << cut;
  }
}

}  // namespace
}  // namespace expertmesh
