#include "model/tokenizer/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/utf8.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

absl::Status Pcre2Failure(absl::string_view pattern, int code) {
  PCRE2_UCHAR text[128] = "";
  pcre2_get_error_message(code, text, sizeof(text));
  return absl::InternalError(
      absl::StrCat("PCRE2, pattern ", pattern, ": ", reinterpret_cast<const char*>(text)));
}

// Every character there is, in order.
const std::string& AllCharacters() {
  static const std::string& all = *[] {
    auto* text = new std::string;
    for (char32_t c = 0; c <= kLastCharacter; ++c) {
      if (c < 0xD800 || 0xDFFF < c) AppendUtf8(c, *text);
    }
    return text;
  }();
  return all;
}

// The runs of `all` that the pattern matches.
absl::StatusOr<CharRanges> Runs(const std::string& pattern, const std::string& all) {
  int error = 0;
  size_t where = 0;
  const std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr),
      pcre2_code_free);
  if (code == nullptr) return Pcre2Failure(pattern, error);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (match == nullptr) return Pcre2Failure(pattern, PCRE2_ERROR_NOMEMORY);

  CharRanges runs;
  for (size_t at = 0; at < all.size();) {
    const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(all.data()), all.size(),
                                  at, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) return Pcre2Failure(pattern, found);
    const size_t* run = pcre2_get_ovector_pointer(match.get());
    size_t last = run[1] - 1;
    while (IsUtf8Continuation(all[last])) --last;
    runs.push_back({Utf8At(all, run[0]).code, Utf8At(all, last).code});
    at = run[1];
  }
  return runs;
}

absl::StatusOr<CharRanges> FindCategory(char major) {
  ASSIGN_OR_RETURN(CharRanges ranges,
                   Runs(absl::StrCat("\\p{", absl::string_view(&major, 1), "}+"), AllCharacters()));
  for (const UnicodeAddition& addition : UnicodeAdditions()) {
    if (addition.major == major) ranges.push_back({addition.first, addition.last});
  }
  return Normalized(std::move(ranges));
}

// Found once in a process: it takes a walk over all characters.
template <char kMajor>
const absl::StatusOr<CharRanges>& Category() {
  static const auto& ranges = *new absl::StatusOr<CharRanges>(FindCategory(kMajor));
  return ranges;
}

}  // namespace

absl::StatusOr<CharRanges> CategoryRanges(char major) {
  switch (major) {
    case 'L':
      return Category<'L'>();
    case 'M':
      return Category<'M'>();
    case 'N':
      return Category<'N'>();
    case 'P':
      return Category<'P'>();
    case 'S':
      return Category<'S'>();
    case 'Z':
      return Category<'Z'>();
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "found category ", Quote(absl::string_view(&major, 1)), ", expected one of LMNPSZ"));
  }
}

const CharRanges& WhiteSpaceRanges() {
  static const CharRanges& ranges = *new CharRanges{
      {0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  return ranges;
}

absl::StatusOr<CharRanges> NumericRanges() {
  ASSIGN_OR_RETURN(CharRanges ranges, CategoryRanges('N'));
  for (const UnicodeAddition& addition : UnicodeAdditions()) {
    if (addition.major == 'D') ranges.push_back({addition.first, addition.last});
  }
  return Normalized(std::move(ranges));
}

}  // namespace expertmesh
