#include "model/vocabulary/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::StartsWith;

Json Added(int32_t id, const std::string& content) { return {{"id", id}, {"content", content}}; }

Json WithAdded(const Json& vocab, const Json& added) {
  return {{"model", {{"vocab", vocab}}}, {"added_tokens", added}};
}

Json Document(const Json& vocab, const std::vector<Json>& added = {}) {
  return WithAdded(vocab, added);
}

// By way of its text, as a file comes: ids are unsigned then.
absl::StatusOr<Vocabulary> Parse(const Json& json) {
  return Vocabulary::Parse(Json::parse(json.dump()));
}

Vocabulary Parsed(const Json& json) {
  absl::StatusOr<Vocabulary> vocabulary = Parse(json);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status();
  return vocabulary.ok() ? *std::move(vocabulary) : *Parse(Document({{"a", 0}}));
}

TEST(Vocabulary, GivesTheBytesOfATokenSpelledInTheByteAlphabet) {
  const Vocabulary vocabulary =
      Parsed(Document({{"\u0120Hi", 0}, {"\u0100", 1}, {"\u00E4", 2}, {"\u010A\u010A", 3}}));
  EXPECT_EQ(vocabulary.bytes(0), " Hi");
  EXPECT_EQ(vocabulary.bytes(1), absl::string_view("\0", 1));
  EXPECT_EQ(vocabulary.bytes(2), "\xE4");
  EXPECT_EQ(vocabulary.bytes(3), "\n\n");
}

TEST(Vocabulary, GivesTheUtf8OfAnyOtherToken) {
  const Vocabulary vocabulary = Parsed(Document(
      {{"\u4F60", 0}, {"a b", 1}}, {Added(2, "<\uFF5Cend\u2581of\uFF5C>"), Added(3, "\n")}));
  EXPECT_EQ(vocabulary.bytes(0), "\u4F60");
  EXPECT_EQ(vocabulary.bytes(1), "a b");
  EXPECT_EQ(vocabulary.bytes(2), "<\uFF5Cend\u2581of\uFF5C>");
  EXPECT_EQ(vocabulary.bytes(3), "\n");
}

TEST(Vocabulary, ReadsAddedTokensInTheByteAlphabetToo) {
  EXPECT_EQ(Parsed(Document({{"a", 0}}, {Added(1, "\u0120x")})).bytes(1), " x");
}

TEST(Vocabulary, TakesAnyIdAndGivesNoBytesForOneWithoutAToken) {
  const Vocabulary vocabulary = Parsed(Document({{"a", 0}, {"b", 3}}, {Added(5, "c")}));
  EXPECT_EQ(vocabulary.size(), 6);
  for (int32_t id : {-1, 1, 2, 4, 6, 1 << 20, std::numeric_limits<int32_t>::min(),
                     std::numeric_limits<int32_t>::max()}) {
    EXPECT_EQ(vocabulary.bytes(id), "") << id;
    EXPECT_FALSE(vocabulary.is_special(id)) << id;
  }
}

TEST(Vocabulary, TellsSpecialTokens) {
  Json special = Added(1, "</s>");
  special["special"] = true;
  const Vocabulary vocabulary = Parsed(Document({{"a", 0}}, {special, Added(2, "<x>")}));
  EXPECT_FALSE(vocabulary.is_special(0));
  EXPECT_TRUE(vocabulary.is_special(1));
  EXPECT_FALSE(vocabulary.is_special(2));
}

TEST(Vocabulary, KeepsAddedTokensInTheFilesOrderWithTheirFlags) {
  Json flagged = Added(3, "b");
  flagged["special"] = true;
  flagged["normalized"] = true;
  Json nulls = Added(2, "c");
  for (const char* flag : {"special", "normalized", "lstrip", "rstrip", "single_word"}) {
    nulls[flag] = nullptr;
  }
  const Vocabulary vocabulary = Parsed(Document({{"a", 0}}, {flagged, nulls, Added(1, "<")}));
  ASSERT_THAT(
      vocabulary.added_tokens(),
      ElementsAre(Field(&AddedToken::id, 3), Field(&AddedToken::id, 2), Field(&AddedToken::id, 1)));
  EXPECT_EQ(vocabulary.added_tokens()[0].content, "b");
  EXPECT_TRUE(vocabulary.added_tokens()[0].special);
  EXPECT_TRUE(vocabulary.added_tokens()[0].normalized);
  EXPECT_FALSE(vocabulary.added_tokens()[1].special);
  EXPECT_FALSE(vocabulary.added_tokens()[1].normalized);
}

TEST(Vocabulary, TakesATokenOfTheModelAsAnAddedOneUnderTheSameId) {
  Json added = Added(1, "</s>");
  added["special"] = true;
  const Vocabulary vocabulary = Parsed(Document({{"a", 0}, {"</s>", 1}}, {added}));
  EXPECT_EQ(vocabulary.size(), 2);
  EXPECT_EQ(vocabulary.bytes(1), "</s>");
  EXPECT_TRUE(vocabulary.is_special(1));
  EXPECT_EQ(vocabulary.added_tokens().size(), 1u);
}

TEST(Vocabulary, NeedsNoAddedTokens) {
  EXPECT_TRUE(Parsed(WithAdded({{"a", 0}}, nullptr)).added_tokens().empty());
  EXPECT_TRUE(Parsed({{"model", {{"vocab", {{"a", 0}}}}}}).added_tokens().empty());
}

TEST(Vocabulary, TakesWhatIsAtItsBounds) {
  const std::string longest(kTokenBytesMax, 'x');
  const Vocabulary vocabulary =
      Parsed(Document({{longest, kVocabularySizeMax - 1}},
                      {Added(kVocabularySizeMax - 1, longest), Added(1, longest.substr(1))}));
  EXPECT_EQ(vocabulary.size(), kVocabularySizeMax);
  EXPECT_EQ(vocabulary.bytes(kVocabularySizeMax - 1), longest);
}

struct Broken {
  const char* what;
  Json json;
  std::string message;
};

Json WithFlag(const char* flag, const Json& value) {
  Json added = Added(1, "x");
  added[flag] = value;
  return Document({{"a", 0}}, {added});
}

std::vector<Broken> BrokenDocuments() {
  const std::string too_long(kTokenBytesMax + 1, 'x');
  const std::string excerpt = std::string(120, 'x') + "...";
  return {
      {"no model", Json::object(), "field model: found nothing, expected an object"},
      {"model is text", {{"model", "BPE"}}, "field model: found \"BPE\", expected an object"},
      {"no vocab",
       {{"model", Json::object()}},
       "field model.vocab: found nothing, expected an object of 1 to 1048576"},
      {"an empty vocab", Document(Json::object()),
       "field model.vocab: found an object of 0, expected an object of 1 to 1048576"},
      {"a list", Document({"a", "b"}),
       "field model.vocab: found an array of 2, expected an object of 1 to 1048576"},
      {"an id below 0", Document({{"a", -1}}),
       "field model.vocab: token \"a\": found id -1, expected an integer in [0, 1048575]"},
      {"an id too high", Document({{"a", 1048576}}),
       "field model.vocab: token \"a\": found id 1048576, expected an integer in [0, 1048575]"},
      {"an id that wraps", Document({{"a", uint64_t{1} << 32}}),
       "field model.vocab: token \"a\": found id 4294967296, expected an integer in [0, 1048575]"},
      {"a broken id", Document({{"a", 1.0}}),
       "field model.vocab: token \"a\": found id 1.0, expected an integer in [0, 1048575]"},
      {"an id in words", Document({{"a\n", "0"}}),
       "field model.vocab: token \"a\\n\": found id \"0\", expected an integer in [0, 1048575]"},
      {"an empty token", Document({{"", 0}}),
       "field model.vocab: token \"\": found 0 bytes, expected 1 to 4096"},
      {"a long token", Document({{too_long, 0}}),
       "field model.vocab: token \"" + excerpt + "\": found 4097 bytes, expected 1 to 4096"},
      {"an id twice", Document({{"a", 7}, {"b", 7}}),
       "token \"b\": another token has its id 7 too"},
      {"added tokens as an object", WithAdded({{"a", 0}}, Json::object()),
       "field added_tokens: found an object of 0, expected an array of at most 65536"},
      {"too many added tokens", WithAdded({{"a", 0}}, std::vector<int>(65537)),
       "field added_tokens: found an array of 65537, expected an array of at most 65536"},
      {"an added token that is a number", WithAdded({{"a", 0}}, std::vector<int>{7}),
       "field added_tokens[0]: found 7, expected an object"},
      {"an added token without id", Document({{"a", 0}}, {Added(1, "x"), Json{{"content", "y"}}}),
       "field added_tokens[1].id: found nothing, expected an integer in [0, 1048575]"},
      {"an added token's id too high", Document({{"a", 0}}, {Added(1048576, "x")}),
       "field added_tokens[0].id: found 1048576, expected an integer in [0, 1048575]"},
      {"an added token without content", Document({{"a", 0}}, {Json{{"id", 1}}}),
       "field added_tokens[0].content: found nothing, expected a string"},
      {"an added token of no bytes", Document({{"a", 0}}, {Added(1, "")}),
       "field added_tokens[0].content: token \"\": found 0 bytes, expected 1 to 4096"},
      {"a long added token", Document({{"a", 0}}, {Added(1, too_long)}),
       "field added_tokens[0].content: token \"" + excerpt +
           "\": found 4097 bytes, expected 1 to 4096"},
      {"a content twice", Document({{"a", 0}}, {Added(1, "x"), Added(2, "x")}),
       "field added_tokens[1]: content \"x\" is there twice"},
      {"an added token under another's id", Document({{"a", 0}}, {Added(0, "x")}),
       "token \"x\": another token has its id 0 too"},
      {"two added tokens of one id", Document({{"a", 0}}, {Added(1, "x"), Added(1, "y")}),
       "token \"y\": another token has its id 1 too"},
      {"an added token of the model under a new id", Document({{"a", 0}}, {Added(4, "a")}),
       "field added_tokens[0]: found id 4, expected 0 as in model.vocab"},
      {"lstrip", WithFlag("lstrip", true),
       "field added_tokens[0].lstrip: found true, expected false"},
      {"rstrip", WithFlag("rstrip", true),
       "field added_tokens[0].rstrip: found true, expected false"},
      {"single_word", WithFlag("single_word", true),
       "field added_tokens[0].single_word: found true, expected false"},
      {"a flag that is none", WithFlag("special", 1),
       "field added_tokens[0].special: found 1, expected true or false"},
      {"another", WithFlag("normalized", "no"),
       "field added_tokens[0].normalized: found \"no\", expected true or false"},
  };
}

TEST(Vocabulary, RefusesByFieldFoundAndExpected) {
  for (const Broken& broken : BrokenDocuments()) {
    const absl::Status status = Parse(broken.json).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << broken.what;
    EXPECT_EQ(status.message(), broken.message) << broken.what;
  }
}

TEST(Vocabulary, OpensAFolderAndNamesTheFileInErrors) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  EXPECT_TRUE(absl::IsNotFound(Vocabulary::Open(folder.path()).status()));

  folder.Write("tokenizer.json", Document({{"a", 0}}).dump());
  const absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Open(folder.path());
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  EXPECT_EQ(vocabulary->bytes(0), "a");

  folder.Write("tokenizer.json", Document({{"a", -1}}).dump());
  EXPECT_THAT(std::string(Vocabulary::Open(folder.path()).status().message()),
              StartsWith("tokenizer.json: field model.vocab: token \"a\": found id -1"));
  folder.Write("tokenizer.json", "{");
  EXPECT_THAT(std::string(Vocabulary::Open(folder.path()).status().message()),
              StartsWith("tokenizer.json: not JSON at byte "));
}

}  // namespace
}  // namespace expertmesh
