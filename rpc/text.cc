#include "rpc/text.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"

namespace expertmesh {
namespace {

// Bytes of the UTF-8 character at the front of `text`; 0 if there is none.
size_t CharacterBytes(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return bytes;
}

}  // namespace

std::string PlainText(absl::string_view text, size_t max_bytes) {
  std::string plain;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const size_t taken = std::max<size_t>(bytes, 1);
    if (plain.size() + taken > max_bytes) break;
    const bool printable =
        bytes > 1 || (bytes == 1 && !absl::ascii_iscntrl(static_cast<unsigned char>(text[0])));
    if (printable) {
      plain.append(text.data(), bytes);
    } else {
      plain.push_back('?');
    }
    text.remove_prefix(taken);
  }
  return plain;
}

}  // namespace expertmesh
