#include "common/utf8.h"

#include <gtest/gtest.h>

#include <random>

namespace expertmesh {
namespace {

std::string Whole(const std::string& bytes) {
  Utf8Stream stream;
  std::string text = stream.Push(bytes);
  return text + stream.Flush();
}

constexpr char kBad[] = "\xEF\xBF\xBD";

TEST(Utf8, LeavesValidTextAlone) {
  const std::string text = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80z";  // one to four bytes
  EXPECT_EQ(Whole(text), text);
  EXPECT_EQ(ValidUtf8Bytes(text), text.size());
}

// Unicode 15, table 3-8 and the text before it.
TEST(Utf8, ReplacesEachMaximalIllFormedPart) {
  const std::string bad = kBad;
  EXPECT_EQ(Whole("a\xF1\x80\x80\xE1\x80\xC2"
                  "b\x80"
                  "c\x80\xBF"
                  "d"),
            "a" + bad + bad + bad + "b" + bad + "c" + bad + bad + "d");
  EXPECT_EQ(Whole("\xC0\xAF"), bad + bad) << "overlong";
  EXPECT_EQ(Whole("\xED\xA0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(Whole("\xF4\x91\x92\x93"), bad + bad + bad + bad) << "above U+10FFFF";
  EXPECT_EQ(Whole("\xE2\x82"), bad) << "cut off";
  EXPECT_EQ(ValidUtf8Bytes("ab\xE2\x82"), 2u);
  EXPECT_EQ(ValidUtf8Bytes("ab\xFF"), 2u);
}

TEST(Utf8, KeepsAnUnfinishedCharacterBack) {
  Utf8Stream stream;
  EXPECT_EQ(stream.Push("x\xF0\x9F"), "x");
  EXPECT_EQ(stream.Push("\x98"), "");
  EXPECT_EQ(stream.Push("\x80y"), "\xF0\x9F\x98\x80y");
  EXPECT_EQ(stream.Flush(), "");
}

TEST(Utf8, PiecesChangeNothingAndAlwaysGiveValidText) {
  std::mt19937 random(3);
  for (int run = 0; run < 3000; ++run) {
    std::string bytes;
    for (size_t n = random() % 20; n > 0; --n) {
      constexpr uint8_t kInteresting[] = {0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED,
                                          0x9F, 0xF0, 0x90, 0xF4, 0x8F, 0xFF, 0xE4};
      bytes += static_cast<char>(kInteresting[random() % std::size(kInteresting)]);
    }
    const std::string whole = Whole(bytes);
    EXPECT_EQ(ValidUtf8Bytes(whole), whole.size());
    Utf8Stream stream;
    std::string text;
    for (size_t at = 0; at < bytes.size();) {
      const size_t count = std::min<size_t>(bytes.size() - at, random() % 3 + 1);
      const std::string piece = stream.Push(absl::string_view(bytes).substr(at, count));
      EXPECT_EQ(ValidUtf8Bytes(piece), piece.size());
      text += piece;
      at += count;
    }
    EXPECT_EQ(text + stream.Flush(), whole);
  }
}

}  // namespace
}  // namespace expertmesh
