// Whatever the text, ten times as much of it takes ten times as long: counted in the steps of the
// pre-tokenizer for 0.1 and 1 MB. What the clock says of 1 and 10 MB is printed.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/utf8.h"
#include "model/tokenizer/tokenizer.h"

namespace expertmesh {
namespace {

constexpr size_t kMegabyte = 1'000'000;
const std::string kFolder = std::string(EXPERTMESH_SOURCE_DIR) + "/tests/golden/tokenizer/";

std::string Repeated(const std::string& part, size_t bytes) {
  std::string text;
  text.reserve(bytes + part.size());
  while (text.size() < bytes) text += part;
  return text;
}

std::string RandomText(size_t bytes) {
  constexpr uint64_t kSeed = 20260402;
  std::mt19937_64 random(kSeed);
  std::string text;
  while (text.size() < bytes) {
    const char32_t limits[] = {0x80, 0x800, 0xD800, 0x110000};
    const char32_t code = static_cast<char32_t>(random() % limits[random() % 4]);
    if (code < 0xD800 || 0xDFFF < code) AppendUtf8(code, text);
  }
  return text;
}

std::string RandomLetters(size_t bytes) {
  constexpr uint64_t kSeed = 20260403;
  std::mt19937_64 random(kSeed);
  std::string text(bytes, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

struct Hostile {
  const char* what;
  std::function<std::string(size_t bytes)> make;
  bool timed = false;
};

const Hostile kTexts[] = {
    {"one letter", [](size_t n) { return std::string(n, 'a'); }, true},
    {"spaces", [](size_t n) { return std::string(n, ' '); }, true},
    {"spaces, then a letter", [](size_t n) { return std::string(n, ' ') + "a"; }},
    {"spaces, then a digit", [](size_t n) { return std::string(n, ' ') + "1"; }},
    {"ideographic spaces, then a mark", [](size_t n) { return Repeated("\u3000", n) + "\u0301"; }},
    {"line feeds", [](size_t n) { return std::string(n, '\n'); }},
    {"line feeds and spaces", [](size_t n) { return Repeated("\n ", n); }},
    {"carriage returns, then spaces",
     [](size_t n) { return std::string(n / 2, '\r') + std::string(n / 2, ' ') + "x"; }},
    {"runs of spaces", [](size_t n) { return Repeated(std::string(1000, ' ') + "a", n); }},
    {"next lines, then a letter", [](size_t n) { return Repeated("\u0085", n) + "a"; }},
    {"digits", [](size_t n) { return std::string(n, '7'); }},
    {"punctuation", [](size_t n) { return std::string(n, '!'); }},
    {"punctuation and line feeds", [](size_t n) { return Repeated("!\n", n); }},
    {"control characters", [](size_t n) { return std::string(n, '\x01'); }},
    {"marks", [](size_t n) { return Repeated("\u0301", n); }},
    {"CJK", [](size_t n) { return Repeated("中", n); }},
    {"the beginning of an added token", [](size_t n) { return Repeated("<｜begin▁of▁", n); }},
    {"added tokens", [](size_t n) { return Repeated("<｜User｜>", n); }},
    {"random text", RandomText, true},
    {"random letters", RandomLetters},
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class LinearTime : public testing::TestWithParam<const char*> {};

TEST_P(LinearTime, HoldsForTheStepsOfThePreTokenizer) {
  const auto json = nlohmann::json::parse(ReadFile(kFolder + GetParam() + "/tokenizer.json"));
  auto pre_tokenizer = PreTokenizer::Parse(json);
  ASSERT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.status();
  constexpr int64_t kStepsPerByteMax = 48;
  for (const Hostile& hostile : kTexts) {
    SCOPED_TRACE(hostile.what);
    for (size_t bytes : {kMegabyte / 10, kMegabyte}) {
      const std::string text = hostile.make(bytes);
      const int64_t allowed = kStepsPerByteMax * static_cast<int64_t>(text.size());
      StepBudget budget{allowed};
      size_t pieces_bytes = 0;
      EXPECT_TRUE(
          pre_tokenizer
              ->Split(text, budget, [&](absl::string_view piece) { pieces_bytes += piece.size(); })
              .ok());
      EXPECT_EQ(pieces_bytes, text.size());
    }
  }
}

std::string TextOf(const Vocabulary& vocabulary, const std::vector<int32_t>& ids) {
  std::string text;
  for (int32_t id : ids) absl::StrAppend(&text, vocabulary.bytes(id));
  return text;
}

TEST_P(LinearTime, TenMegabytesThereAndBack) {
  auto tokenizer = Tokenizer::Open(kFolder + GetParam());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto seconds = [&](const std::string& text) {
    const auto begin = std::chrono::steady_clock::now();
    const auto ids = (*tokenizer)->EncodeChat(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_TRUE(ids.ok()) << ids.status();
    if (ids.ok()) {
      EXPECT_TRUE(TextOf((*tokenizer)->vocabulary(), *ids) == text);
    }
    return took.count();
  };
  for (const Hostile& hostile : kTexts) {
    if (!hostile.timed) continue;
    SCOPED_TRACE(hostile.what);
    const double one = seconds(hostile.make(kMegabyte));
    const double ten = seconds(hostile.make(10 * kMegabyte));
    std::printf("%s: 1 MB %.3f s, 10 MB %.3f s: %s\n", GetParam(), one, ten, hostile.what);
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, LinearTime, testing::Values("v2", "v3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace expertmesh
