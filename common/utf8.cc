#include "common/utf8.h"

#include <utility>

namespace expertmesh {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

// How many bytes a character has that begins with `lead`, and the range of its second byte, which
// rules out overlong forms, surrogates and what lies above U+10FFFF. 0: none begins so.
struct LeadRule {
  int bytes;
  unsigned char second_min;
  unsigned char second_max;
};

LeadRule RuleOf(unsigned char lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

void AppendUtf8(char32_t code, std::string& text) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

Utf8Unit FirstUtf8Unit(absl::string_view text) {
  const LeadRule rule = RuleOf(static_cast<unsigned char>(text[0]));
  if (rule.bytes == 0) return {Utf8Kind::kInvalid, 1};
  for (int i = 1; i < rule.bytes; ++i) {
    if (static_cast<size_t>(i) == text.size()) return {Utf8Kind::kCutOff, i};
    const auto byte = static_cast<unsigned char>(text[static_cast<size_t>(i)]);
    const bool continues =
        i == 1 ? rule.second_min <= byte && byte <= rule.second_max : (byte & 0xC0) == 0x80;
    if (!continues) return {Utf8Kind::kInvalid, i};
  }
  return {Utf8Kind::kValid, rule.bytes};
}

size_t ValidUtf8Bytes(absl::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Unit unit = FirstUtf8Unit(text.substr(at));
    if (unit.kind != Utf8Kind::kValid) return at;
    at += static_cast<size_t>(unit.bytes);
  }
  return at;
}

std::string Utf8Stream::Push(absl::string_view bytes) {
  kept_.append(bytes.data(), bytes.size());
  std::string text;
  absl::string_view rest = kept_;
  while (!rest.empty()) {
    const size_t valid = ValidUtf8Bytes(rest);
    text.append(rest.data(), valid);
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    const Utf8Unit unit = FirstUtf8Unit(rest);
    if (unit.kind == Utf8Kind::kCutOff) break;
    text += kReplacement;
    rest.remove_prefix(static_cast<size_t>(unit.bytes));
  }
  kept_ = std::string(rest);
  return text;
}

std::string Utf8Stream::Flush() { return std::exchange(kept_, "").empty() ? "" : kReplacement; }

}  // namespace expertmesh
