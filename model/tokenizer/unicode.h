// unicode.h: the properties of characters that pre-tokenizers ask for.
//
// General categories come from PCRE2, plus what was assigned after its Unicode 14
// (unicode_additions.cc), so that tokens do not depend on the library's age: they are those of
// Unicode 16, as Hugging Face's regex engine has them.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/char_set.h"

namespace expertmesh {

// A range of characters with the major category that they got after Unicode 14; 'D' marks what
// counts as a digit for Digits alone.
struct UnicodeAddition {
  char32_t first;
  char32_t last;
  char major;
};
const std::vector<UnicodeAddition>& UnicodeAdditions();

// The characters of a major category: L (letters), M (marks), N (numbers), P (punctuation),
// S (symbols) or Z (separators).
// Errors  INVALID_ARGUMENT: there is no such category; INTERNAL: PCRE2 cannot say.
absl::StatusOr<CharRanges> CategoryRanges(char major);

// White_Space: what `\s` means.
const CharRanges& WhiteSpaceRanges();

// What the pre-tokenizer Digits takes for a digit: all numbers, such as a half and Roman ones, in
// its host language's Unicode.
absl::StatusOr<CharRanges> NumericRanges();

}  // namespace expertmesh
