#include "model/jinja/string_literal.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/text.h"

namespace expertmesh::jinja {
namespace {

absl::Status AppendEscapedPoint(char32_t point, std::string* out) {
  if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
    return absl::InvalidArgumentError("an escape of what is no character");
  }
  AppendCodePoint(point, out);
  return absl::OkStatus();
}

// \x41, \u0041, \U00000041: exactly `digits` of them at `*at`.
absl::Status AppendHex(absl::string_view body, size_t* at, size_t digits, std::string* out) {
  char32_t point = 0;
  if (*at + digits > body.size()) return absl::InvalidArgumentError("an escape is cut short");
  for (size_t i = 0; i < digits; ++i) {
    const char c = body[(*at)++];
    if (!absl::ascii_isxdigit(c)) return absl::InvalidArgumentError("an escape is cut short");
    point =
        point << 4 | static_cast<char32_t>(absl::ascii_isdigit(c) ? c - '0' : (c | 32) - 'a' + 10);
  }
  return AppendEscapedPoint(point, out);
}

// \0 to \777.
absl::Status AppendOctal(absl::string_view body, size_t* at, std::string* out) {
  char32_t point = 0;
  for (int i = 0; i < 3 && *at < body.size() && body[*at] >= '0' && body[*at] <= '7'; ++i) {
    point = point << 3 | static_cast<char32_t>(body[(*at)++] - '0');
  }
  return AppendEscapedPoint(point, out);
}

}  // namespace

absl::StatusOr<std::string> Unescape(absl::string_view body) {
  static constexpr absl::string_view kNames = "abfnrtv\\'\"";
  static constexpr absl::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (size_t at = 0; at < body.size();) {
    const char c = body[at++];
    if (c != '\\') {
      out.push_back(c);
      continue;
    }
    if (at == body.size()) return absl::InvalidArgumentError("an escape is cut short");
    const char escape = body[at];
    if (const size_t which = kNames.find(escape); which != absl::string_view::npos) {
      out.push_back(kMeanings[which]);
      ++at;
    } else if (escape == '\n') {
      ++at;
    } else if (escape == 'x' || escape == 'u' || escape == 'U') {
      ++at;
      RETURN_IF_ERROR(AppendHex(body, &at, escape == 'x' ? 2 : escape == 'u' ? 4 : 8, &out));
    } else if (escape >= '0' && escape <= '7') {
      RETURN_IF_ERROR(AppendOctal(body, &at, &out));
    } else if (escape == 'N') {
      return absl::InvalidArgumentError("the escape \\N{name} is not supported");
    } else {
      out.push_back('\\');
    }
  }
  return out;
}

}  // namespace expertmesh::jinja
