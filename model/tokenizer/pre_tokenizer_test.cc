#include "model/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "model/tokenizer/test_util.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kPlenty = 1 << 20;

absl::StatusOr<PreTokenizer> Parse(const Json& pre_tokenizer) {
  return PreTokenizer::Parse({{"pre_tokenizer", pre_tokenizer}});
}

std::vector<std::string> PiecesOf(const Json& pre_tokenizer, absl::string_view text) {
  const absl::StatusOr<PreTokenizer> parsed = Parse(pre_tokenizer);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  std::vector<std::string> pieces;
  if (!parsed.ok()) return pieces;
  StepBudget budget{kPlenty};
  const absl::Status status =
      parsed->Split(text, budget, [&](absl::string_view piece) { pieces.emplace_back(piece); });
  EXPECT_TRUE(status.ok()) << status;
  return pieces;
}

TEST(PreTokenizer, GivesTheWholeTextWithoutSteps) {
  EXPECT_THAT(PiecesOf(ByteLevelStep(), "a b\n1"), ElementsAre("a b\n1"));
  EXPECT_THAT(PiecesOf(StepSequence({}), "a b\n1"), ElementsAre("a b\n1"));
}

TEST(PreTokenizer, GivesNoPieceOfNoText) {
  EXPECT_THAT(PiecesOf(ByteLevelStep(), ""), IsEmpty());
  EXPECT_THAT(PiecesOf(StepSequence({SplitStep("a"), DigitsStep()}), ""), IsEmpty());
}

TEST(PreTokenizer, IsolatesMatchesAndKeepsWhatIsBetween) {
  EXPECT_THAT(PiecesOf(StepSequence({SplitStep("a+")}), "baabca"),
              ElementsAre("b", "aa", "bc", "a"));
  EXPECT_THAT(PiecesOf(StepSequence({SplitStep("a")}), "aa"), ElementsAre("a", "a"));
  EXPECT_THAT(PiecesOf(StepSequence({SplitStep("x")}), "abc"), ElementsAre("abc"));
}

TEST(PreTokenizer, CutsThePiecesOfTheStepBefore) {
  // "ab" is cut out of the whole text first; `a$` then sees each piece's end as the text's.
  EXPECT_THAT(PiecesOf(StepSequence({SplitStep("ba"), SplitStep("a$")}), "aba"),
              ElementsAre("a", "b", "a"));
  EXPECT_THAT(PiecesOf(StepSequence({SplitStep("a$"), SplitStep("ba")}), "aba"),
              ElementsAre("ab", "a"));
}

TEST(PreTokenizer, MakesEachDigitAPieceOfItsOwn) {
  EXPECT_THAT(PiecesOf(StepSequence({DigitsStep()}), "a12\u00BDb\uFF14"),
              ElementsAre("a", "1", "2", "\u00BD", "b", "\uFF14"));
}

TEST(PreTokenizer, EndsWithTheBudget) {
  const absl::StatusOr<PreTokenizer> parsed = Parse(StepSequence({SplitStep("a")}));
  ASSERT_TRUE(parsed.ok());
  const std::string text(100, 'a');
  StepBudget enough{kPlenty};
  ASSERT_TRUE(parsed->Split(text, enough, [](absl::string_view) {}).ok());
  const int64_t taken = kPlenty - enough.left;
  EXPECT_GE(taken, 100);

  for (int64_t steps : {int64_t{0}, taken / 2, taken}) {
    StepBudget budget{steps};
    size_t bytes = 0;
    const absl::Status status =
        parsed->Split(text, budget, [&](absl::string_view piece) { bytes += piece.size(); });
    EXPECT_EQ(status, absl::ResourceExhaustedError("this text takes the pre-tokenizer more than "
                                                   "linear time; its patterns are to blame"));
    EXPECT_LE(bytes, text.size());
    EXPECT_EQ(budget.left, 0);
  }
  StepBudget one_more{taken + 1};
  EXPECT_TRUE(parsed->Split(text, one_more, [](absl::string_view) {}).ok());
}

TEST(PreTokenizer, TakesSixteenSteps) {
  std::vector<Json> steps(kPreTokenizerStepsMax - 1, SplitStep("a"));
  EXPECT_THAT(PiecesOf(StepSequence(steps), "ab"), ElementsAre("a", "b"));
  steps.push_back(SplitStep("a"));
  EXPECT_EQ(Parse(StepSequence(steps)).status(),
            absl::InvalidArgumentError("field pre_tokenizer.pretokenizers: found an array of 17, "
                                       "expected an array of 1 to 16"));
}

Json With(Json json, const std::string& field, const Json& value) {
  json[field] = value;
  return json;
}

Json Without(Json json, const std::string& field) {
  json.erase(field);
  return json;
}

Json List(const std::vector<Json>& steps) {
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

struct Broken {
  const char* what;
  Json pre_tokenizer;
  std::string message;
};

std::vector<Broken> BrokenPreTokenizers() {
  const std::string step = "field pre_tokenizer.pretokenizers[0]";
  const Json split = SplitStep("a");
  return {
      {"none", nullptr, "field pre_tokenizer: found null, expected an object"},
      {"text", "ByteLevel", "field pre_tokenizer: found \"ByteLevel\", expected an object"},
      {"no type", Json::object(),
       "field pre_tokenizer.type: found nothing, expected \"ByteLevel\" at the end"},
      {"Split alone", split,
       "field pre_tokenizer.type: found \"Split\", expected \"ByteLevel\" at the end"},
      {"Metaspace",
       {{"type", "Metaspace"}},
       "field pre_tokenizer.type: found \"Metaspace\", expected \"ByteLevel\" at the end"},
      {"a prefix space", With(ByteLevelStep(), "add_prefix_space", true),
       "field pre_tokenizer.add_prefix_space: found true, expected false"},
      {"a prefix space by default", Without(ByteLevelStep(), "add_prefix_space"),
       "field pre_tokenizer.add_prefix_space: found nothing, expected false"},
      {"its own regex", With(ByteLevelStep(), "use_regex", true),
       "field pre_tokenizer.use_regex: found true, expected false"},
      {"its own regex by default", Without(ByteLevelStep(), "use_regex"),
       "field pre_tokenizer.use_regex: found nothing, expected false"},
      {"no list",
       {{"type", "Sequence"}},
       "field pre_tokenizer.pretokenizers: found nothing, expected an array of 1 to 16"},
      {"an empty list", List({}),
       "field pre_tokenizer.pretokenizers: found an array of 0, expected an array of 1 to 16"},
      {"a step that is text", List({"ByteLevel"}),
       step + ": found \"ByteLevel\", expected an object"},
      {"a Sequence inside", StepSequence({StepSequence({})}),
       step + ".type: found \"Sequence\", expected Split, Digits or ByteLevel"},
      {"Whitespace", StepSequence({{{"type", "Whitespace"}}}),
       step + ".type: found \"Whitespace\", expected Split, Digits or ByteLevel"},
      {"ByteLevel first", StepSequence({ByteLevelStep()}),
       step + ".type: found \"ByteLevel\", expected ByteLevel at the end alone"},
      {"no ByteLevel at the end", List({split}),
       step + ".type: found \"Split\", expected \"ByteLevel\" at the end"},
      {"digits in groups", StepSequence({With(DigitsStep(), "individual_digits", false)}),
       step + ".individual_digits: found false, expected true"},
      {"digits in groups by default", StepSequence({Without(DigitsStep(), "individual_digits")}),
       step + ".individual_digits: found nothing, expected true"},
      {"Removed", StepSequence({With(split, "behavior", "Removed")}),
       step + ".behavior: found \"Removed\", expected \"Isolated\""},
      {"no behavior", StepSequence({Without(split, "behavior")}),
       step + ".behavior: found nothing, expected \"Isolated\""},
      {"inverted", StepSequence({With(split, "invert", true)}),
       step + ".invert: found true, expected false"},
      {"no pattern", StepSequence({Without(split, "pattern")}),
       step + ".pattern: found nothing, expected an object with the string Regex"},
      {"a string pattern", StepSequence({With(split, "pattern", {{"String", "a"}})}),
       step + ".pattern: found an object of 1, expected an object with the string Regex"},
      {"a pattern of two",
       StepSequence({With(split, "pattern", {{"Regex", "a"}, {"String", "a"}})}),
       step + ".pattern: found an object of 2, expected an object with the string Regex"},
      {"a regex that is no text", StepSequence({With(split, "pattern", {{"Regex", 1}})}),
       step + ".pattern: found an object of 1, expected an object with the string Regex"},
      {"a regex that is not understood", StepSequence({SplitStep("a\n(b)")}),
       step + ".pattern.Regex: \"a\\n(b)\": at byte 2: expected a character, a set or an escape"},
  };
}

TEST(PreTokenizer, RefusesByFieldFoundAndExpected) {
  for (const Broken& broken : BrokenPreTokenizers()) {
    EXPECT_EQ(Parse(broken.pre_tokenizer).status(), absl::InvalidArgumentError(broken.message))
        << broken.what;
  }
}

}  // namespace
}  // namespace expertmesh
