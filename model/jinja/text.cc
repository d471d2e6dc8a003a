#include "model/jinja/text.h"

#include <array>
#include <charconv>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace expertmesh::jinja {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

template <size_t N>
bool In(const std::array<Range, N>& ranges, char32_t point) {
  for (const Range& range : ranges) {
    if (point >= range.first && point <= range.last) return true;
  }
  return false;
}

constexpr std::array<Range, 10> kSpaces = {{{0x09, 0x0D},
                                            {0x1C, 0x20},
                                            {0x85, 0x85},
                                            {0xA0, 0xA0},
                                            {0x1680, 0x1680},
                                            {0x2000, 0x200A},
                                            {0x2028, 0x2029},
                                            {0x202F, 0x202F},
                                            {0x205F, 0x205F},
                                            {0x3000, 0x3000}}};

// Controls, format characters, private use and separators other than the space.
constexpr std::array<Range, 19> kUnprintable = {{{0x00, 0x1F},
                                                 {0x7F, 0xA0},
                                                 {0xAD, 0xAD},
                                                 {0x600, 0x605},
                                                 {0x61C, 0x61C},
                                                 {0x6DD, 0x6DD},
                                                 {0x70F, 0x70F},
                                                 {0x1680, 0x1680},
                                                 {0x180E, 0x180E},
                                                 {0x2000, 0x200F},
                                                 {0x2028, 0x202F},
                                                 {0x205F, 0x206F},
                                                 {0x3000, 0x3000},
                                                 {0xE000, 0xF8FF},
                                                 {0xFEFF, 0xFEFF},
                                                 {0xFFF0, 0xFFFB},
                                                 {0xFFFE, 0xFFFF},
                                                 {0xE0000, 0xE0FFF},
                                                 {0xF0000, 0x10FFFF}}};

// Blocks that have letters with case: Latin to Armenian, Georgian, Cherokee and so on.
constexpr std::array<Range, 16> kCased = {{{0xAA, 0x58F},
                                           {0x10A0, 0x10FF},
                                           {0x13A0, 0x13FF},
                                           {0x1C80, 0x1CBF},
                                           {0x1D00, 0x1FFF},
                                           {0x2100, 0x218F},
                                           {0x24B0, 0x24EF},
                                           {0x2C00, 0x2DFF},
                                           {0xA640, 0xA69F},
                                           {0xA720, 0xA7FF},
                                           {0xAB30, 0xABBF},
                                           {0xFB00, 0xFB17},
                                           {0xFF21, 0xFF5A},
                                           {0x10400, 0x105BF},
                                           {0x10C80, 0x118DF},
                                           {0x16E40, 0x1E943}}};

// The length of the sequence that `lead` begins; 0 if it begins none.
int SequenceBytes(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

template <typename Predicate>
absl::string_view StripIf(absl::string_view text, Sides sides, Predicate drop) {
  size_t begin = 0;
  while (sides.left && begin < text.size()) {
    size_t next = begin;
    if (!drop(NextCodePoint(text, &next))) break;
    begin = next;
  }
  size_t end = text.size();
  while (sides.right && end > begin) {
    size_t last = end - 1;
    while (IsContinuation(text[last])) --last;
    size_t next = last;
    if (!drop(NextCodePoint(text, &next))) break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int bytes = SequenceBytes(lead);
    if (bytes == 0 || i + bytes > text.size()) return false;
    for (int k = 1; k < bytes; ++k) {
      if (!IsContinuation(text[i + k])) return false;
    }
    if (bytes > 2) {
      size_t at = i;
      const char32_t point = NextCodePoint(text, &at);
      if (point < (bytes == 3 ? 0x800 : 0x10000) || point > 0x10FFFF) return false;
      if (point >= 0xD800 && point <= 0xDFFF) return false;
    }
    i += bytes;
  }
  return true;
}

char32_t NextCodePoint(absl::string_view text, size_t* at) {
  const auto lead = static_cast<unsigned char>(text[(*at)++]);
  const int bytes = SequenceBytes(lead);
  if (bytes <= 1) return lead;
  char32_t point = lead & (0x7F >> bytes);
  for (int k = 1; k < bytes; ++k) point = point << 6 | (text[(*at)++] & 0x3F);
  return point;
}

void AppendCodePoint(char32_t point, std::string* out) {
  const auto tail = [&](int shift) {
    out->push_back(static_cast<char>(0x80 | (point >> shift & 0x3F)));
  };
  if (point < 0x80) {
    out->push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out->push_back(static_cast<char>(0xC0 | point >> 6));
    tail(0);
  } else if (point < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | point >> 12));
    tail(6), tail(0);
  } else {
    out->push_back(static_cast<char>(0xF0 | point >> 18));
    tail(12), tail(6), tail(0);
  }
}

int64_t CodePoints(absl::string_view text) {
  int64_t count = 0;
  for (char c : text) count += !IsContinuation(c);
  return count;
}

size_t ByteOffset(absl::string_view text, int64_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) {
    ++at;
    while (at < text.size() && IsContinuation(text[at])) ++at;
  }
  return at;
}

bool IsSpace(char32_t point) { return In(kSpaces, point); }

bool IsPrintable(char32_t point) { return !In(kUnprintable, point); }

bool HasUnknownCase(char32_t point) { return In(kCased, point); }

absl::string_view Strip(absl::string_view text, Sides sides) {
  return StripIf(text, sides, IsSpace);
}

absl::string_view StripPoints(absl::string_view text, absl::string_view points, Sides sides) {
  return StripIf(text, sides, [points](char32_t point) {
    for (size_t at = 0; at < points.size();) {
      if (NextCodePoint(points, &at) == point) return true;
    }
    return false;
  });
}

std::string Quoted(absl::string_view text) {
  const bool has_single = absl::StrContains(text, '\'');
  const char quote = has_single && !absl::StrContains(text, '"') ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const char32_t point = NextCodePoint(text, &at);
    if (point == static_cast<char32_t>(quote) || point == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(point));
    } else if (point == '\n' || point == '\r' || point == '\t') {
      absl::StrAppend(&out, point == '\n' ? "\\n" : point == '\r' ? "\\r" : "\\t");
    } else if (IsPrintable(point)) {
      AppendCodePoint(point, &out);
    } else if (point <= 0xFF) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint32_t>(point));
    } else if (point <= 0xFFFF) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(point));
    } else {
      absl::StrAppendFormat(&out, "\\U%08x", static_cast<uint32_t>(point));
    }
  }
  out.push_back(quote);
  return out;
}

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  // Digits and exponent as d.ddde+XX; then Python's choice between the two notations.
  char buffer[40];
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  absl::string_view shortest(buffer, result.ptr - buffer);
  const size_t e = shortest.find('e');
  int exponent = 0;
  std::from_chars(shortest.data() + e + (shortest[e + 1] == '+' ? 2 : 1), result.ptr, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(shortest);

  std::string digits(shortest.substr(0, e));
  std::string sign;
  if (digits[0] == '-') sign = "-", digits.erase(0, 1);
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  const int count = static_cast<int>(digits.size());
  if (exponent < 0) return absl::StrCat(sign, "0.", std::string(-exponent - 1, '0'), digits);
  if (count <= exponent + 1) {
    return absl::StrCat(sign, digits, std::string(exponent + 1 - count, '0'), ".0");
  }
  return absl::StrCat(sign, digits.substr(0, exponent + 1), ".", digits.substr(exponent + 1));
}

}  // namespace expertmesh::jinja
