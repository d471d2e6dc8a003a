// utf8.h: UTF-8 as text is checked, walked and repaired.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace expertmesh {

struct Utf8Char {
  char32_t code = 0;
  int bytes = 0;
};

// The character that begins at `at`, which must be the beginning of one in text that is valid.
inline Utf8Char Utf8At(absl::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3Fu), 2};
  if (lead < 0xF0) return {(lead & 0xF) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  return {(lead & 7) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu),
          4};
}

// Whether the byte continues a character rather than begins one.
inline bool IsUtf8Continuation(char byte) { return (byte & 0xC0) == 0x80; }

void AppendUtf8(char32_t code, std::string& text);

// What stands at the beginning of `text`: a valid character, bytes that no character begins with,
// or (text is too short to tell) the first bytes of one. As Unicode recommends, the bytes that are
// replaced by one U+FFFD are the longest that could have begun a character.
enum class Utf8Kind { kValid, kInvalid, kCutOff };
struct Utf8Unit {
  Utf8Kind kind = Utf8Kind::kInvalid;
  int bytes = 0;  // at least 1
};
// Requires  text is not empty.
Utf8Unit FirstUtf8Unit(absl::string_view text);

// How many bytes of `text`, from its beginning, are valid: text.size() if all of it is.
size_t ValidUtf8Bytes(absl::string_view text);

// Bytes come in pieces, text that is always valid goes out: a character whose bytes have not all
// come is kept back, and what can be none becomes U+FFFD. Threads: one.
class Utf8Stream {
 public:
  // The text that these bytes complete.
  std::string Push(absl::string_view bytes);
  // For what is kept back and will never be completed: U+FFFD, or nothing. Begins anew.
  std::string Flush();

 private:
  std::string kept_;  // the beginning of a character, at most three bytes
};

}  // namespace expertmesh
