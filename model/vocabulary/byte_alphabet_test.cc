#include "model/vocabulary/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

#include "common/utf8.h"

namespace expertmesh {
namespace {

TEST(ByteAlphabet, SpellsEachByteAsOneCharacterOfItsOwn) {
  std::set<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = SpellingOfByte(static_cast<unsigned char>(byte));
    ASSERT_EQ(ValidUtf8Bytes(spelling), spelling.size());
    EXPECT_EQ(static_cast<size_t>(Utf8At(spelling, 0).bytes), spelling.size());
    EXPECT_EQ(BytesOfSpelling(spelling), std::string(1, static_cast<char>(byte)));
    spellings.insert(spelling);
  }
  EXPECT_EQ(spellings.size(), 256u);
}

TEST(ByteAlphabet, LeavesPrintableLatin1AsItIs) {
  EXPECT_EQ(SpellingOfByte('A'), "A");
  EXPECT_EQ(SpellingOfByte('!'), "!");
  EXPECT_EQ(SpellingOfByte('~'), "~");
  EXPECT_EQ(SpellingOfByte(0xA1), "\u00A1");
  EXPECT_EQ(SpellingOfByte(0xFF), "\u00FF");
}

TEST(ByteAlphabet, SpellsTheOthersInOrderFromU0100) {
  EXPECT_EQ(SpellingOfByte(0), "\u0100");
  EXPECT_EQ(SpellingOfByte('\n'), "\u010A");
  EXPECT_EQ(SpellingOfByte(' '), "\u0120");
  EXPECT_EQ(SpellingOfByte(0x7F), "\u0121");
  EXPECT_EQ(SpellingOfByte(0x80), "\u0122");
  EXPECT_EQ(SpellingOfByte(0xA0), "\u0142");
  EXPECT_EQ(SpellingOfByte(0xAD), "\u0143");
}

TEST(ByteAlphabet, ReadsASpellingOfManyCharacters) {
  EXPECT_EQ(BytesOfSpelling(""), "");
  EXPECT_EQ(BytesOfSpelling("\u0120Hello"), " Hello");
  EXPECT_EQ(BytesOfSpelling("\u00E4\u00BD\u0142"), "\xE4\xBD\xA0");  // the bytes of U+4F60
}

TEST(ByteAlphabet, GivesNothingForACharacterThatStandsForNoByte) {
  for (const char* spelling : {" ", "\n", "\x7F", "\u00A0", "\u00AD", "\u0144", "\u4F60",
                               "\U0001F600", "Hello world", "a\u0144"}) {
    EXPECT_EQ(BytesOfSpelling(spelling), std::nullopt) << spelling;
  }
  EXPECT_EQ(BytesOfSpelling(absl::string_view("\0", 1)), std::nullopt);
}

}  // namespace
}  // namespace expertmesh
