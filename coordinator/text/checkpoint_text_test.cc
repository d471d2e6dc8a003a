#include "coordinator/text/checkpoint_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/checkpoint/test_util.h"

namespace expertmesh {
namespace {

using broken::Broken;
using broken::Cases;
using broken::Field;
using broken::Replace;
using broken::Text;
using ::testing::HasSubstr;

constexpr char kConfig[] = "config.json";
constexpr char kTokenizer[] = "tokenizer.json";
constexpr char kTokenizerConfig[] = "tokenizer_config.json";
constexpr char kTemplate[] = "chat_template.jinja";
constexpr char kGeneration[] = "generation_config.json";
constexpr const char* kFiles[] = {kConfig, kTokenizer, kTokenizerConfig, kTemplate, kGeneration};

// The text half of the default model: 2048 tokens.
void CopyTextHalf(const CheckpointFolder& folder) {
  for (const char* name : kFiles) {
    std::filesystem::copy_file(std::string(EXPERTMESH_SOURCE_DIR "/models/tiny/") + name,
                               folder.File(name));
  }
}

Cases TokenizerCases() {
  return {
      {"no config", broken::Remove(kConfig), "config.json", absl::StatusCode::kNotFound},
      {"an empty tokenizer", Text(kTokenizer, ""), "tokenizer.json: not JSON at byte"},
      {"a tokenizer that is a folder", broken::Folder(kTokenizer),
       "tokenizer.json: expected a regular file"},
      {"a tokenizer that is a pipe", broken::Pipe(kTokenizer),
       "tokenizer.json: expected a regular file"},
      {"a tokenizer that is a dangling link", broken::Link(kTokenizer, "gone"),
       "tokenizer.json: found a link that leads nowhere"},
      {"more tokens than the model has", Field(kConfig, "/vocab_size", 2000),
       "tokenizer.json has ids up to 2039; config.json's vocab_size is 2000"},
      {"a special token outside the model", Field(kTokenizer, "/added_tokens/2/id", 5000),
       "tokenizer.json has ids up to 5000; config.json's vocab_size is 2048"},
      {"a token beyond all vocabularies", Field(kTokenizer, "/added_tokens/2/id", 1 << 20),
       "tokenizer.json: field added_tokens[2].id: found 1048576, expected an integer in"},
      {"a negative id", Field(kTokenizer, "/added_tokens/2/id", -1),
       "tokenizer.json: field added_tokens[2].id: found -1, expected an integer in"},
      {"two tokens of one id", Field(kTokenizer, "/added_tokens/2/id", 7),
       "another token has its id 7 too"},
      {"one special token twice",
       [](const CheckpointFolder& f) {
         f.EditJson(kTokenizer, [](broken::Json& json) {
           json["added_tokens"][3]["content"] = json["added_tokens"][2]["content"];
         });
       },
       "tokenizer.json: field added_tokens[3]: content"},
      {"a normalizer", Field(kTokenizer, "/normalizer", {{"type", "NFC"}}),
       R"(tokenizer.json: field normalizer: found "NFC", expected null or an empty Sequence)"},
      {"another pre-tokenizer", Field(kTokenizer, "/pre_tokenizer", {{"type", "Metaspace"}}),
       "tokenizer.json: field pre_tokenizer"},
      {"another model", Field(kTokenizer, "/model/type", "WordPiece"),
       "tokenizer.json: field model.type: found \"WordPiece\""},
      {"bytes as fallback", Field(kTokenizer, "/model/byte_fallback", true),
       "tokenizer.json: field model.byte_fallback: found true"},
      {"another decoder", Field(kTokenizer, "/decoder", {{"type", "Metaspace"}}),
       R"(tokenizer.json: field decoder.type: found "Metaspace", expected "ByteLevel")"},
      {"a merge of what is no token", Field(kTokenizer, "/model/merges/0", "zq zq"),
       "tokenizer.json: field model.merges"},
      {"truncation", Field(kTokenizer, "/truncation", {{"max_length", 512}}),
       "tokenizer.json: field truncation: found an object of 1, expected null"},
      {"another post-processor", Field(kTokenizer, "/post_processor/type", "BertProcessing"),
       "tokenizer.json: field post_processor"},
  };
}

Cases OtherCases() {
  return {
      {"a tokenizer_config that is no JSON", Text(kTokenizerConfig, "{"),
       "tokenizer_config.json: not JSON at byte"},
      {"a beginning that is no token", Field(kTokenizerConfig, "/bos_token", "<s>"),
       R"(tokenizer_config.json: field bos_token: found "<s>", expected a token of)"},
      {"an end that is no token", Field(kTokenizerConfig, "/eos_token", "</s>"),
       R"(tokenizer_config.json: field eos_token: found "</s>", expected a token of)"},
      {"a beginning to be added, but none", Field(kTokenizerConfig, "/bos_token", nullptr),
       "tokenizer_config.json: field bos_token: found none, but BOS is to be added"},
      {"a template that does not end", Text(kTemplate, "{% if messages %}"), "chat_template.jinja"},
      {"a template that is a folder", broken::Folder(kTemplate),
       "chat_template.jinja: expected a regular file"},
      {"a temperature that is none", Field(kGeneration, "/temperature", -1),
       "generation_config.json: field temperature: found -1, expected a number in"},
      {"a generation config that is a list", Text(kGeneration, "[]"),
       "generation_config.json: found an array of 0, expected a JSON object"},
  };
}

TEST(OpenTextModel, RefusesABrokenTextHalfByFileAndField) {
  for (const Broken& broken : broken::Joined({TokenizerCases(), OtherCases()})) {
    SCOPED_TRACE(broken.what);
    const CheckpointFolder folder(CheckpointFolder::kEmpty);
    CopyTextHalf(folder);
    EXPECT_TRUE(OpenTextModel(folder.path(), "").ok()) << "before";
    broken.damage(folder);
    const absl::Status status = OpenTextModel(folder.path(), "").status();
    EXPECT_EQ(status.code(), broken.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(broken.message));
  }
}

TEST(OpenTextModel, GoesWithoutWhatIsNotThere) {
  const CheckpointFolder folder(CheckpointFolder::kEmpty);
  CopyTextHalf(folder);
  const auto whole = OpenTextModel(folder.path(), "").value();
  EXPECT_TRUE(whole->has_text());
  EXPECT_TRUE(whole->has_chat());
  EXPECT_EQ(whole->vocabulary(), 2048);
  std::filesystem::remove(folder.File(kTemplate));
  EXPECT_FALSE(OpenTextModel(folder.path(), "").value()->has_chat());
  std::filesystem::remove(folder.File(kTokenizer));
  EXPECT_FALSE(OpenTextModel(folder.path(), "").value()->has_text());
}

}  // namespace
}  // namespace expertmesh
