#include "model/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace expertmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Prefix(uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length));
}

std::string File(const std::string& json, size_t data_bytes) {
  return Prefix(json.size()) + json + std::string(data_bytes, 'x');
}

absl::StatusOr<std::vector<SafetensorsEntry>> Parse(const std::string& file) {
  return ParseSafetensorsHeader(file, file.size());
}

std::string ErrorOf(const std::string& file) {
  auto entries = Parse(file);
  EXPECT_TRUE(absl::IsInvalidArgument(entries.status())) << file;
  return std::string(entries.status().message());
}

constexpr char kGood[] =
    R"({"__metadata__": {"format": "pt"}, )"
    R"("b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]}, )"
    R"("a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, )"
    R"("empty": {"dtype": "I64", "shape": [0, 7], "data_offsets": [16, 16]}}   )";

TEST(Safetensors, TellsWhereEachTensorIs) {
  auto entries = Parse(File(kGood, 16));
  ASSERT_TRUE(entries.ok()) << entries.status();
  const uint64_t data = 8 + sizeof(kGood) - 1;
  ASSERT_EQ(entries->size(), 3u);
  const SafetensorsEntry& a = (*entries)[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, "F32");
  EXPECT_TRUE(a.shape.empty());
  EXPECT_EQ(a.offset, data);
  EXPECT_EQ(a.bytes, 4u);
  const SafetensorsEntry& b = (*entries)[1];
  EXPECT_EQ(b.name, "b");
  EXPECT_THAT(b.shape, ElementsAre(2, 3));
  EXPECT_EQ(b.offset, data + 4);
  EXPECT_EQ(b.bytes, 12u);
  EXPECT_EQ((*entries)[2].bytes, 0u);
}

TEST(Safetensors, ReadsAFileOfNoTensors) { EXPECT_TRUE(Parse(File("{}", 0))->empty()); }

TEST(Safetensors, RefusesALengthThatIsNotPossible) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("found 0 bytes, expected at least 8"));
  EXPECT_THAT(ErrorOf("1234567"), HasSubstr("found 7 bytes"));
  EXPECT_THAT(ErrorOf(Prefix(3) + "{}"),
              HasSubstr("found a header length of 3, expected at most 2"));
  EXPECT_THAT(ErrorOf(Prefix(~uint64_t{0}) + "{}"), HasSubstr("length of 18446744073709551615"));
  // The format's limit holds even where the file is larger.
  EXPECT_FALSE(SafetensorsHeaderBytes(Prefix(100'000'001), uint64_t{1} << 40).ok());
  EXPECT_EQ(*SafetensorsHeaderBytes(Prefix(100'000'000), uint64_t{1} << 40), 100'000'008u);
}

TEST(Safetensors, RefusesAHeadThatIsCutOff) {
  const std::string file = File(kGood, 16);
  auto entries = ParseSafetensorsHeader(file.substr(0, 50), file.size());
  EXPECT_THAT(std::string(entries.status().message()), HasSubstr("found 50 bytes of header"));
}

struct BadHeader {
  const char* json;
  size_t data_bytes;
  const char* message;
};

TEST(Safetensors, RefusesHeadersThatDoNotDescribeTheFile) {
  const BadHeader cases[] = {
      {"", 0, "header: not JSON"},
      {"[]", 0, "header: found an array of 0, expected a JSON object"},
      {"{} {}", 0, "header: not JSON"},
      {R"({"a": {}, "a": {}})", 0, "header: key a stands there twice"},
      {R"({"a": {"dtype": "F32", "shape": [1], "shape": [1], "data_offsets": [0, 4]}})", 4,
       "header: key shape stands there twice"},
      {R"({"__metadata__": {"a": 1}})", 0, "__metadata__: expected an object of strings"},
      {R"({"__metadata__": "pt"})", 0, "__metadata__: expected an object of strings"},
      {R"({"a": 3})", 0, "tensor a: found 3, expected an object"},
      {R"({"a": {"shape": [1], "data_offsets": [0, 4]}})", 4,
       "tensor a: expected a string in field dtype"},
      {R"({"a": {"dtype": 4, "shape": [1], "data_offsets": [0, 4]}})", 4, "field dtype"},
      {R"({"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}})", 4, "found dtype F33"},
      {R"({"a": {"dtype": "F32", "data_offsets": [0, 4]}})", 4, "expected a list in field shape"},
      {R"({"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}})", 4,
       "a list in field shape"},
      {R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})", 4,
       "found -1 in field shape"},
      {R"({"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}})", 4,
       "found 1.0 in field shape"},
      {R"({"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}})", 4, "in field shape"},
      {R"({"a": {"dtype": "F32", "shape": [9223372036854775808], "data_offsets": [0, 4]}})", 4,
       "found 9223372036854775808 in field shape"},
      {R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 16], "data_offsets": [0, 4]}})", 4,
       "product overflows"},
      {R"({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}})", 2, "whole bytes"},
      {R"({"a": {"dtype": "F32", "shape": [1]}})", 4, "expected a list in field data_offsets"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}})", 4, "a begin and an end"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", 4, "an end not before"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, -4]}})", 4,
       "found -4 in field data_offsets"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 7,
       "tensor a: found data_offsets up to 8, expected at most the file's 7 bytes"},
      {R"({"a": {"dtype": "F32", "shape": [1], )"
       R"("data_offsets": [9223372036854775800, 9223372036854775804]}})",
       4, "expected at most the file's 4 bytes"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4,
       "found data_offsets of 4 bytes, expected 8"},
      {R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, )"
       R"("b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}})",
       6, "tensor b: data begins at byte"},
      {R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}, )"
       R"("b": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]}})",
       6, "(a gap before it)"},
      {R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}})", 3, "but the file has"},
  };
  for (const BadHeader& bad : cases) {
    EXPECT_THAT(ErrorOf(File(bad.json, bad.data_bytes)), HasSubstr(bad.message)) << bad.json;
  }
}

TEST(Safetensors, NamesAreEscapedInMessages) {
  EXPECT_THAT(ErrorOf(File("{\"a\\nb\": 3}", 0)), HasSubstr("tensor a\\nb: found 3"));
}

// Whatever the bytes, what is accepted lies within the file.
TEST(Safetensors, AcceptsNothingOutsideTheFileWhateverTheBytes) {
  const std::string good = File(kGood, 16);
  constexpr uint64_t kSeed = 20260101;
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  int accepted = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string file = good;
    for (uint64_t change = random() % 4; change < 4; ++change) {
      const size_t at = random() % file.size();
      switch (random() % 4) {
        case 0:
          file[at] = static_cast<char>(random());
          break;
        case 1:
          file[at] = "0123456789[]{},:\"- "[random() % 19];
          break;
        case 2:
          file.erase(at, random() % 3);
          break;
        default:
          file.insert(at, 1, "0123456789[]{},:\"- "[random() % 19]);
          break;
      }
      if (file.empty()) break;
    }
    auto entries = Parse(file);
    if (!entries.ok()) continue;
    ++accepted;
    for (const SafetensorsEntry& entry : *entries) {
      ASSERT_LE(entry.offset, file.size()) << round;
      ASSERT_LE(entry.bytes, file.size() - entry.offset) << round;
    }
  }
  EXPECT_GT(accepted, 0);  // else the changes are too rough to test anything
}

}  // namespace
}  // namespace expertmesh
