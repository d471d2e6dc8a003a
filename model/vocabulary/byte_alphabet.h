// byte_alphabet.h: the 256 characters that stand for bytes in a byte-level BPE's vocabulary.
//
// Printable characters of Latin-1 stand for themselves; U+0100 and those after it stand, in order,
// for the bytes that are left: a space is U+0120, a line feed U+010A.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace expertmesh {

// The bytes that `spelling` (valid UTF-8) stands for; nullopt if one of its characters stands for
// none.
std::optional<std::string> BytesOfSpelling(absl::string_view spelling);

// How a byte is spelled.
std::string SpellingOfByte(unsigned char byte);

}  // namespace expertmesh
