#include "model/tokenizer/tokenizer_config.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace expertmesh {
namespace {

using Json = nlohmann::json;

TokenizerConfig Parsed(absl::string_view text) {
  const absl::StatusOr<TokenizerConfig> config = ParseTokenizerConfig(text);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(TokenizerConfig{});
}

TEST(TokenizerConfig, SaysNothingWhereTheFileSaysNothing) {
  for (const char* text : {"{}", R"({"bos_token": null, "eos_token": null, "add_bos_token": null,
                                    "add_eos_token": null, "tokenizer_class": null})"}) {
    const TokenizerConfig config = Parsed(text);
    EXPECT_EQ(config.bos_token, std::nullopt);
    EXPECT_EQ(config.eos_token, std::nullopt);
    EXPECT_EQ(config.add_bos_token, std::nullopt);
    EXPECT_EQ(config.add_eos_token, std::nullopt);
  }
}

TEST(TokenizerConfig, ReadsTokensAsTextOrAsObjects) {
  const TokenizerConfig config = Parsed(R"({
    "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": true}, "eos_token": "</s>",
    "add_bos_token": true, "add_eos_token": false, "model_max_length": 16384})");
  EXPECT_EQ(config.bos_token, "<s>");
  EXPECT_EQ(config.eos_token, "</s>");
  EXPECT_EQ(config.add_bos_token, true);
  EXPECT_EQ(config.add_eos_token, false);
}

TEST(TokenizerConfig, LetsTheClassOfLlamaAddBosWhereTheFileDoesNotSay) {
  EXPECT_EQ(Parsed(R"({"tokenizer_class": "LlamaTokenizerFast"})").add_bos_token, true);
  EXPECT_EQ(Parsed(R"({"tokenizer_class": "LlamaTokenizer"})").add_bos_token, true);
  EXPECT_EQ(Parsed(R"({"tokenizer_class": "LlamaTokenizer"})").add_eos_token, std::nullopt);
  EXPECT_EQ(Parsed(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": null})").add_bos_token,
            true);
  EXPECT_EQ(
      Parsed(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false})").add_bos_token,
      false);
  EXPECT_EQ(Parsed(R"({"tokenizer_class": "PreTrainedTokenizerFast"})").add_bos_token,
            std::nullopt);
}

struct Broken {
  const char* text;
  const char* message;
};

TEST(TokenizerConfig, RefusesByFieldFoundAndExpected) {
  for (const Broken& broken : std::vector<Broken>{
           {"", "not JSON at byte 1"},
           {"[]", "found an array of 0, expected a JSON object"},
           {R"({"add_bos_token": true, "add_bos_token": false})",
            "key add_bos_token stands there twice"},
           {R"({"bos_token": 1})",
            "field bos_token: found 1, expected null, a string or an object with the string "
            "content"},
           {R"({"eos_token": {"content": 1}})",
            "field eos_token: found an object of 1, expected null, a string or an object with the "
            "string content"},
           {R"({"eos_token": {}})",
            "field eos_token: found an object of 0, expected null, a string or an object with the "
            "string content"},
           {R"({"add_bos_token": "yes"})",
            "field add_bos_token: found \"yes\", expected true or false"},
           {R"({"add_eos_token": 1})", "field add_eos_token: found 1, expected true or false"},
           {R"({"tokenizer_class": 1})", "field tokenizer_class: found 1, expected a string"},
       }) {
    EXPECT_EQ(ParseTokenizerConfig(broken.text).status(),
              absl::InvalidArgumentError(broken.message))
        << broken.text;
  }
}

std::string Template(const std::string& single) {
  return R"({"type": "TemplateProcessing", "single": )" + single + "}";
}

const char kBosAndText[] = R"([{"SpecialToken": {"id": "<s>", "type_id": 0}},
                               {"Sequence": {"id": "A", "type_id": 0}}])";

absl::StatusOr<std::optional<std::string>> BosOf(const std::string& post_processor) {
  return PostProcessorBos({{"post_processor", Json::parse(post_processor)}});
}

TEST(PostProcessorBos, FindsTheTokenOfATemplate) {
  EXPECT_EQ(*BosOf(Template(kBosAndText)), "<s>");
  EXPECT_EQ(*BosOf(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, )" +
                   Template(kBosAndText) + "]}"),
            "<s>");
}

TEST(PostProcessorBos, FindsNoneWhereThereIsNone) {
  EXPECT_EQ(*PostProcessorBos(Json::object()), std::nullopt);
  for (const std::string& post_processor :
       {std::string("null"), std::string(R"({"type": "ByteLevel"})"),
        Template(R"([{"Sequence": {"id": "A"}}])"),
        std::string(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, null]})"),
        std::string(R"({"type": "Sequence", "processors": []})")}) {
    EXPECT_EQ(*BosOf(post_processor), std::nullopt) << post_processor;
  }
}

TEST(PostProcessorBos, RefusesByFieldFoundAndExpected) {
  constexpr char kSingle[] =
      "field post_processor.single: found an array of %, expected the text A, with at most one "
      "special token before it";
  const auto single = [&](int size) {
    std::string message = kSingle;
    return message.replace(message.find('%'), 1, std::to_string(size));
  };
  struct Row {
    std::string post_processor;
    std::string message;
  };
  for (const Row& row : std::vector<Row>{
           {"7", "field post_processor: found 7, expected an object"},
           {"{}",
            "field post_processor.type: found nothing, expected ByteLevel, TemplateProcessing or "
            "Sequence"},
           {R"({"type": "BertProcessing"})",
            "field post_processor.type: found \"BertProcessing\", expected ByteLevel, "
            "TemplateProcessing or Sequence"},
           {R"({"type": "Sequence"})",
            "field post_processor.processors: found nothing, expected an array"},
           {R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, "x"]})",
            "field post_processor.processors[1]: found \"x\", expected an object"},
           {R"({"type": "Sequence", "processors": [{"type": "RobertaProcessing"}]})",
            "field post_processor.processors[0].type: found \"RobertaProcessing\", expected "
            "ByteLevel, TemplateProcessing or Sequence"},
           {R"({"type": "Sequence", "processors": [)" + Template(kBosAndText) + "," +
                Template(kBosAndText) + "]}",
            "field post_processor.processors[1]: a second template, expected at most one"},
           {R"({"type": "TemplateProcessing"})",
            "field post_processor.single: found nothing, expected the text A, with at most one "
            "special token before it"},
           {Template("[]"), single(0)},
           {Template(R"([{"SpecialToken": {"id": "<s>"}}])"), single(1)},
           {Template(R"([{"Sequence": {"id": "B"}}])"), single(1)},
           {Template(R"([{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}])"),
            single(2)},
           {Template(R"([{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}])"), single(2)},
           {Template(R"([{"SpecialToken": {"id": 1}}, {"Sequence": {"id": "A"}}])"), single(2)},
           {Template(R"([{"SpecialToken": {"id": "a"}}, {"SpecialToken": {"id": "b"}},
                         {"Sequence": {"id": "A"}}])"),
            single(3)},
       }) {
    EXPECT_EQ(BosOf(row.post_processor).status(), absl::InvalidArgumentError(row.message))
        << row.post_processor;
  }
}

}  // namespace
}  // namespace expertmesh
