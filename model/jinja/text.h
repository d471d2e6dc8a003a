// text.h: strings as Python sees them: a sequence of code points, here kept as valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace expertmesh::jinja {

// Whether `text` is UTF-8 as Unicode has it: shortest forms, no surrogates, nothing past U+10FFFF.
// All functions below take such text.
bool IsUtf8(absl::string_view text);

// The code point that begins at `*at`, which moves past it.
char32_t NextCodePoint(absl::string_view text, size_t* at);
void AppendCodePoint(char32_t point, std::string* out);
int64_t CodePoints(absl::string_view text);  // how many there are
// The byte at which code point `index` begins; text.size() if there are not so many.
size_t ByteOffset(absl::string_view text, int64_t index);

bool IsSpace(char32_t point);      // str.isspace
bool IsPrintable(char32_t point);  // str.isprintable; knows no unassigned code points

struct Sides {
  bool left = true;
  bool right = true;
};
// Without white space at the ends.
absl::string_view Strip(absl::string_view text, Sides sides = {});
// Without those code points at the ends that are in `points`.
absl::string_view StripPoints(absl::string_view text, absl::string_view points, Sides sides = {});

// Whether upper or lower case may differ from the code point itself in a way that only tables of
// Unicode know. ASCII letters are not meant: their case is known.
bool HasUnknownCase(char32_t point);

// As Python's repr: in quotes, with escapes.
std::string Quoted(absl::string_view text);
// As Python's repr of a float: the shortest digits that give the same double.
std::string FloatText(double value);

}  // namespace expertmesh::jinja
