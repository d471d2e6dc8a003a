#include "model/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/test_util.h"
#include "model/tokenizer/tokenizer_config.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using Ids = std::vector<int32_t>;
using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr int32_t kBos = 500;
constexpr int32_t kEos = 501;

Json Added(int32_t id, const std::string& content, bool normalized = false) {
  return {{"id", id}, {"content", content}, {"normalized", normalized}};
}

// With the tokens <s> and </s>, and the merge "a b" as token 256.
Json SmallJson() {
  Json json = TokenizerJson({"a b"});
  json["added_tokens"] = {Added(kBos, "<s>"), Added(kEos, "</s>")};
  return json;
}

using Config = std::optional<std::string>;

absl::StatusOr<std::unique_ptr<Tokenizer>> Parse(const Json& json, const Config& config = {}) {
  return Tokenizer::Parse(json.dump(), config);
}

std::unique_ptr<Tokenizer> Parsed(const Json& json, const Config& config = {}) {
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Parse(json, config);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

Ids Encoded(const Json& json, absl::string_view text, const Config& config = {}) {
  const absl::StatusOr<Ids> ids = Parsed(json, config)->Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.value_or(Ids{});
}

Json WithTemplate(const std::string& bos) {
  Json json = SmallJson();
  const Json token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array({token, text})}};
  return json;
}

TEST(Tokenizer, EncodesTheEmptyText) {
  EXPECT_THAT(Encoded(SmallJson(), ""), IsEmpty());
  EXPECT_THAT(Encoded(WithTemplate("<s>"), ""), ElementsAre(kBos));
}

TEST(Tokenizer, MergesWithinPiecesAlone) {
  EXPECT_THAT(Encoded(SmallJson(), "abab"), ElementsAre(256, 256));
  Json json = SmallJson();
  json["pre_tokenizer"] = StepSequence({SplitStep("b")});
  EXPECT_THAT(Encoded(json, "ab"), ElementsAre('a', 'b'));
}

TEST(Tokenizer, AddsNeitherBosNorEosUnlessToldTo) {
  EXPECT_THAT(Encoded(SmallJson(), "a"), ElementsAre('a'));
  EXPECT_THAT(Encoded(SmallJson(), "a", R"({"bos_token": "<s>", "eos_token": "</s>"})"),
              ElementsAre('a'));
}

TEST(Tokenizer, AddsBosAndEosAsTheConfigSays) {
  EXPECT_THAT(Encoded(SmallJson(), "a", R"({"bos_token": "<s>", "add_bos_token": true})"),
              ElementsAre(kBos, 'a'));
  EXPECT_THAT(Encoded(SmallJson(), "a", R"({"eos_token": "</s>", "add_eos_token": true})"),
              ElementsAre('a', kEos));
  EXPECT_THAT(Encoded(SmallJson(), "", R"({"bos_token": "<s>", "eos_token": "</s>",
                                           "add_bos_token": true, "add_eos_token": true})"),
              ElementsAre(kBos, kEos));
  EXPECT_THAT(
      Encoded(SmallJson(), "a", R"({"bos_token": "<s>", "tokenizer_class": "LlamaTokenizer"})"),
      ElementsAre(kBos, 'a'));
}

TEST(Tokenizer, TakesATokenOfTheModelForBos) {
  EXPECT_THAT(Encoded(SmallJson(), "c", R"({"bos_token": "ab", "add_bos_token": true})"),
              ElementsAre(256, 'c'));
}

TEST(Tokenizer, AddsTheBosOfATemplateUnlessTheConfigHasAnotherOrSaysNo) {
  EXPECT_THAT(Encoded(WithTemplate("<s>"), "a"), ElementsAre(kBos, 'a'));
  EXPECT_THAT(Encoded(WithTemplate("<s>"), "a", "{}"), ElementsAre(kBos, 'a'));
  EXPECT_THAT(Encoded(WithTemplate("<s>"), "a", R"({"bos_token": "</s>"})"),
              ElementsAre(kEos, 'a'));
  EXPECT_THAT(Encoded(WithTemplate("<s>"), "a", R"({"add_bos_token": false})"), ElementsAre('a'));
}

TEST(Tokenizer, AddsBosOnceEvenIfTheTextBeginsWithIt) {
  EXPECT_THAT(Encoded(WithTemplate("<s>"), "<s>a"), ElementsAre(kBos, kBos, 'a'));
}

TEST(Tokenizer, LeavesBosAndEosToTheTemplateOfAChat) {
  const auto tokenizer = Parsed(SmallJson(), R"({"bos_token": "<s>", "eos_token": "</s>",
                                                 "add_bos_token": true, "add_eos_token": true})");
  EXPECT_THAT(*tokenizer->EncodeChat("<s>a"), ElementsAre(kBos, 'a'));
  EXPECT_THAT(*tokenizer->EncodeChat(""), IsEmpty());
}

TEST(Tokenizer, FindsAddedTokensBeforeAnythingElse) {
  Json json = SmallJson();
  json["added_tokens"].push_back(Added('b', "b"));  // of the model's tokens one
  EXPECT_THAT(Encoded(json, "ab<s>ab"), ElementsAre('a', 'b', kBos, 'a', 'b'));
  EXPECT_THAT(Encoded(json, "</s"), ElementsAre('<', '/', 's'));
}

TEST(Tokenizer, LooksForNormalizedTokensAfterTheOthers) {
  Json json = SmallJson();
  json["added_tokens"] = {Added(300, "abc", /*normalized=*/true), Added(301, "cd")};
  // "abc" is leftmost and longest, but "cd" goes first, since it is not normalized.
  EXPECT_THAT(Encoded(json, "abcd"), ElementsAre(256, 301));
  EXPECT_THAT(Encoded(json, "abc"), ElementsAre(300));
  json["added_tokens"] = {Added(300, "abc"), Added(301, "cd")};
  EXPECT_THAT(Encoded(json, "abcd"), ElementsAre(300, 'd'));
}

TEST(Tokenizer, SplitsEachPartBetweenAddedTokensForItself) {
  Json json = SmallJson();
  json["pre_tokenizer"] = StepSequence({SplitStep("a$")});
  EXPECT_THAT(Encoded(json, "ba<s>ab"), ElementsAre('b', 'a', kBos, 256));
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8ByTheByte) {
  const auto tokenizer = Parsed(SmallJson());
  const absl::Status expected = absl::InvalidArgumentError("text: not UTF-8 at byte 2");
  EXPECT_EQ(tokenizer->Encode("ab\xFF").status(), expected);
  EXPECT_EQ(tokenizer->EncodeChat("ab\xC3").status(), expected);
  EXPECT_EQ(tokenizer->Encode("ab\xED\xA0\x80").status(), expected);  // a surrogate
}

TEST(Tokenizer, TakesTextsUpToItsBound) {
  const auto tokenizer = Parsed(SmallJson());
  std::string text(kTextBytesMax, 'c');
  const absl::StatusOr<Ids> ids = tokenizer->EncodeChat(text);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->size(), kTextBytesMax);
  text += 'c';
  EXPECT_EQ(tokenizer->EncodeChat(text).status(),
            absl::InvalidArgumentError("text: found 16777217 bytes, expected at most 16777216"));
}

TEST(Tokenizer, RefusesATextOnWhichItsPatternsTakeTooLong) {
  Json json = SmallJson();
  json["pre_tokenizer"] =
      StepSequence({SplitStep("a{0,64}a{0,64}a{0,64}a{0,64}a{0,64}a{0,64}c|b")});
  const auto tokenizer = Parsed(json);
  EXPECT_TRUE(tokenizer->Encode("aaac").ok());
  EXPECT_EQ(tokenizer->Encode(std::string(1000, 'a')).status(),
            absl::ResourceExhaustedError("this text takes the pre-tokenizer more than linear time; "
                                         "its patterns are to blame"));
}

TEST(Tokenizer, ShowsItsVocabulary) {
  const auto tokenizer = Parsed(SmallJson());
  EXPECT_EQ(tokenizer->vocabulary().size(), kEos + 1);
  EXPECT_EQ(tokenizer->vocabulary().bytes(256), "ab");
}

struct Broken {
  const char* what;
  std::function<void(Json& json)> damage;
  const char* message;
  Config config = {};
};

const Broken kBroken[] = {
    {"another version", [](Json& json) { json["version"] = "2.0"; },
     "tokenizer.json: field version: found \"2.0\", expected \"1.0\""},
    {"truncation", [](Json& json) { json["truncation"] = Json::object(); },
     "tokenizer.json: field truncation: found an object of 0, expected null"},
    {"padding", [](Json& json) { json["padding"] = true; },
     "tokenizer.json: field padding: found true, expected null"},
    {"a normalizer",
     [](Json& json) {
       json["normalizer"] = {{"type", "NFC"}};
     },
     "tokenizer.json: field normalizer: found \"NFC\", expected null or an empty Sequence"},
    {"a normalizer without type", [](Json& json) { json["normalizer"] = 7; },
     "tokenizer.json: field normalizer: found 7, expected null or an empty Sequence"},
    {"a Sequence of normalizers",
     [](Json& json) {
       json["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
     },
     "tokenizer.json: field normalizer: found \"Sequence\", expected null or an empty Sequence"},
    {"no decoder", [](Json& json) { json.erase("decoder"); },
     "tokenizer.json: field decoder: found nothing, expected an object"},
    {"another decoder",
     [](Json& json) {
       json["decoder"] = {{"type", "Metaspace"}};
     },
     "tokenizer.json: field decoder.type: found \"Metaspace\", expected \"ByteLevel\""},
    {"the vocabulary", [](Json& json) { json["model"].erase("vocab"); },
     "tokenizer.json: field model.vocab: found nothing, expected an object of 1 to 1048576"},
    {"the pre-tokenizer",
     [](Json& json) {
       json["pre_tokenizer"] = {{"type", "Whitespace"}};
     },
     "tokenizer.json: field pre_tokenizer.type: found \"Whitespace\", expected \"ByteLevel\" at "
     "the end"},
    {"the model", [](Json& json) { json["model"]["type"] = "WordPiece"; },
     "tokenizer.json: field model.type: found \"WordPiece\", expected \"BPE\""},
    {"the post-processor",
     [](Json& json) {
       json["post_processor"] = {{"type", "Roberta"}};
     },
     "tokenizer.json: field post_processor.type: found \"Roberta\", expected ByteLevel, "
     "TemplateProcessing or Sequence"},
    {"a config that is not JSON", [](Json&) {}, "tokenizer_config.json: not JSON at byte 2", "{"},
    {"a config's field", [](Json&) {},
     "tokenizer_config.json: field add_bos_token: found 1, expected true or false",
     R"({"add_bos_token": 1})"},
    {"an unknown BOS", [](Json&) {},
     "tokenizer_config.json: field bos_token: found \"<bos>\", expected a token of tokenizer.json",
     R"({"bos_token": "<bos>"})"},
    {"an unknown EOS", [](Json&) {},
     "tokenizer_config.json: field eos_token: found \"<eos>\", expected a token of tokenizer.json",
     R"({"eos_token": "<eos>"})"},
    {"BOS to be added, but none", [](Json&) {},
     "tokenizer_config.json: field bos_token: found none, but BOS is to be added",
     R"({"add_bos_token": true})"},
    {"EOS to be added, but none", [](Json&) {},
     "tokenizer_config.json: field eos_token: found none, but EOS is to be added",
     R"({"add_eos_token": true})"},
};

TEST(Tokenizer, RefusesByFileFieldFoundAndExpected) {
  for (const Broken& broken : kBroken) {
    Json json = SmallJson();
    broken.damage(json);
    EXPECT_EQ(Parse(json, broken.config).status(), absl::InvalidArgumentError(broken.message))
        << broken.what;
  }
  EXPECT_THAT(std::string(Tokenizer::Parse("{]", std::nullopt).status().message()),
              StartsWith("tokenizer.json: not JSON at byte "));
}

TEST(Tokenizer, TakesAnEmptySequenceOfNormalizersAndNoVersion) {
  Json json = SmallJson();
  json.erase("version");
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  EXPECT_THAT(Encoded(json, "ab"), ElementsAre(256));
}

TEST(Tokenizer, OpensAFolderWithOrWithoutAConfig) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  EXPECT_TRUE(absl::IsNotFound(Tokenizer::Open(folder.path()).status()));

  folder.Write("tokenizer.json", SmallJson().dump());
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Open(folder.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(*(*tokenizer)->Encode("a"), ElementsAre('a'));

  folder.Write("tokenizer_config.json", R"({"bos_token": "<s>", "add_bos_token": true})");
  tokenizer = Tokenizer::Open(folder.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(*(*tokenizer)->Encode("a"), ElementsAre(kBos, 'a'));

  folder.Write("tokenizer_config.json", std::string(kTokenizerConfigBytesMax + 1, ' '));
  EXPECT_EQ(Tokenizer::Open(folder.path()).status(),
            absl::InvalidArgumentError("tokenizer_config.json: found 8388609 bytes, expected at "
                                       "most 8388608"));
}

}  // namespace
}  // namespace expertmesh
