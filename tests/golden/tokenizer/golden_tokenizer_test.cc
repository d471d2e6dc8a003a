// The ids that Hugging Face's tokenizers gives, for a tokenizer in the style of V2 and one of V3.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/utf8.h"
#include "model/tokenizer/tokenizer.h"

namespace expertmesh {
namespace {

using Ids = std::vector<int32_t>;

const std::string kFolder = std::string(EXPERTMESH_SOURCE_DIR) + "/tests/golden/tokenizer/";

struct Golden {
  std::string text;
  Ids ids;
};

std::vector<Golden> ReadGoldens(const std::string& style) {
  std::ifstream file(kFolder + "strings.jsonl");
  std::vector<Golden> goldens;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    goldens.push_back({json["text"].get<std::string>(), json[style].get<Ids>()});
  }
  return goldens;
}

class GoldenTokenizer : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Open(kFolder + GetParam());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(GoldenTokenizer, GivesTheIdsOfHuggingFace) {
  const std::vector<Golden> goldens = ReadGoldens(GetParam());
  ASSERT_GE(goldens.size(), 2000u);
  for (const Golden& golden : goldens) {
    const auto ids = tokenizer_->EncodeChat(golden.text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, golden.ids) << nlohmann::json(golden.text).dump(-1, ' ', true);
  }
}

// The bytes of the ids are the text again; and as they come, no character is cut.
TEST_P(GoldenTokenizer, GivesTheTextBack) {
  for (const Golden& golden : ReadGoldens(GetParam())) {
    Utf8Stream utf8;
    std::string text;
    for (int32_t id : golden.ids) {
      const std::string delta = utf8.Push(tokenizer_->vocabulary().bytes(id));
      ASSERT_EQ(ValidUtf8Bytes(delta), delta.size());
      text += delta;
    }
    EXPECT_EQ(text + utf8.Flush(), golden.text);
  }
}

TEST_P(GoldenTokenizer, BeginsWithBosOnce) {
  const int32_t bos = std::string(GetParam()) == "v2" ? 2000 : 0;
  const Ids plain = *tokenizer_->EncodeChat("Hello world");
  Ids expected = {bos};
  expected.insert(expected.end(), plain.begin(), plain.end());
  EXPECT_EQ(*tokenizer_->Encode("Hello world"), expected);
  EXPECT_EQ(*tokenizer_->EncodeChat("<｜begin▁of▁sentence｜>Hello world"), expected);
  EXPECT_EQ(*tokenizer_->Encode(""), Ids{bos});
}

INSTANTIATE_TEST_SUITE_P(Styles, GoldenTokenizer, testing::Values("v2", "v3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace expertmesh
