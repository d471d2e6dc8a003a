#include "model/vocabulary/byte_alphabet.h"

#include "common/utf8.h"

namespace expertmesh {
namespace {

constexpr int kCharacters = 0x144;  // U+0000 to U+0143 contain all 256

struct Alphabet {
  std::array<int16_t, kCharacters> byte_of;  // -1: stands for none
  std::array<char32_t, 256> character_of;
};

bool StandsForItself(int byte) {
  return (0x21 <= byte && byte <= 0x7E) || (0xA1 <= byte && byte <= 0xAC) ||
         (0xAE <= byte && byte <= 0xFF);
}

Alphabet MakeAlphabet() {
  Alphabet alphabet;
  alphabet.byte_of.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t character = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
    alphabet.byte_of[character] = static_cast<int16_t>(byte);
    alphabet.character_of[static_cast<size_t>(byte)] = character;
  }
  return alphabet;
}

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet = MakeAlphabet();
  return alphabet;
}

}  // namespace

std::optional<std::string> BytesOfSpelling(absl::string_view spelling) {
  const Alphabet& alphabet = TheAlphabet();
  std::string bytes;
  for (size_t at = 0; at < spelling.size();) {
    const Utf8Char character = Utf8At(spelling, at);
    if (character.code >= kCharacters || alphabet.byte_of[character.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(alphabet.byte_of[character.code]));
    at += static_cast<size_t>(character.bytes);
  }
  return bytes;
}

std::string SpellingOfByte(unsigned char byte) {
  std::string spelling;
  AppendUtf8(TheAlphabet().character_of[byte], spelling);
  return spelling;
}

}  // namespace expertmesh
