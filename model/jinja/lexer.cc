#include "model/jinja/lexer.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "model/jinja/string_literal.h"
#include "model/jinja/text.h"

namespace expertmesh::jinja {
namespace {

using Kind = Token::Kind;

// Newlines of any system become \n, and one at the very end goes.
std::string Normalized(absl::string_view source) {
  std::string text = absl::StrReplaceAll(source, {{"\r\n", "\n"}, {"\r", "\n"}});
  if (absl::EndsWith(text, "\n")) text.pop_back();
  return text;
}

bool IsNameStart(char c) { return absl::ascii_isalpha(c) || c == '_'; }
bool IsNamePart(char c) { return absl::ascii_isalnum(c) || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(Root());
    Add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  absl::string_view rest() const { return absl::string_view(source_).substr(at_); }
  bool Looking(absl::string_view at) const { return absl::StartsWith(rest(), at); }

  void Advance(size_t bytes) {
    for (; bytes > 0; --bytes, ++at_) {
      if (source_[at_] == '\n') {
        ++position_.line;
        position_.column = 1;
      } else {
        ++position_.column;
      }
    }
  }

  void SkipSpace() {
    Advance(rest().size() - Strip(rest(), {.left = true, .right = false}).size());
  }

  void Add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), position_}); }

  absl::Status Error(absl::string_view what) const { return ErrorAt(position_, what); }

  absl::Status Root();
  absl::Status Comment();
  absl::Status Raw(size_t tag_bytes);
  absl::Status Code(bool block);
  absl::Status CodeToken();
  absl::Status Number();
  absl::Status String();
  absl::Status Operator();
  size_t RawTag() const;
  void AddData(absl::string_view text, absl::string_view tag);
  void EndTag(absl::string_view sign, bool trims);
  bool TakeEnd(absl::string_view end, bool trims);

  const std::string source_;
  size_t at_ = 0;
  Position position_;
  // Whether what was consumed before the text at hand ended a line.
  bool line_starting_ = true;
  std::string open_;  // brackets that await their end, innermost last
  std::vector<Token> tokens_;
};

// Adds the text before a tag, cut as the tag wants it: `tag` begins at the tag.
void Lexer::AddData(absl::string_view text, absl::string_view tag) {
  const char sign = tag.size() > 2 ? tag[2] : '\0';
  if (sign == '-') {
    text = Strip(text, {.left = false, .right = true});
  } else if (sign != '+' && !absl::StartsWith(tag, "{{")) {
    const size_t newline = text.rfind('\n');
    const size_t line = newline == absl::string_view::npos ? 0 : newline + 1;
    if ((line > 0 || line_starting_) && Strip(text.substr(line)).empty()) {
      text = text.substr(0, line);
    }
  }
  if (!text.empty()) Add(Kind::kData, std::string(text));
}

// Text up to the next tag, and the tag.
absl::Status Lexer::Root() {
  size_t tag = at_;
  for (;; ++tag) {
    tag = source_.find('{', tag);
    if (tag == std::string::npos || tag + 1 >= source_.size()) {
      Add(Kind::kData, std::string(rest()));
      Advance(rest().size());
      return absl::OkStatus();
    }
    const char next = source_[tag + 1];
    if (next == '{' || next == '%' || next == '#') break;
  }
  AddData(rest().substr(0, tag - at_), absl::string_view(source_).substr(tag));
  Advance(tag - at_);
  if (Looking("{#")) return Comment();
  if (const size_t raw = RawTag(); raw > 0) return Raw(raw);
  return Code(Looking("{%"));
}

// Passes over the end of a tag, which is at hand: a sign and two characters, and the white space
// that goes with them.
void Lexer::EndTag(absl::string_view sign, bool trims) {
  Advance(sign.size() + 2);
  if (sign == "-") {
    SkipSpace();
  } else if (sign.empty() && trims && Looking("\n")) {
    Advance(1);
  }
  line_starting_ = source_[at_ - 1] == '\n';
}

bool Lexer::TakeEnd(absl::string_view end, bool trims) {
  for (absl::string_view sign : {"", "-", "+"}) {
    if (sign == "+" && !trims) continue;  // there is no +}}
    if (!Looking(absl::StrCat(sign, end))) continue;
    EndTag(sign, trims);
    return true;
  }
  return false;
}

absl::Status Lexer::Comment() {
  const size_t begin = at_ + (Looking("{#-") || Looking("{#+") ? 3 : 2);
  size_t end = source_.find("#}", begin);
  if (end == std::string::npos) return Error("a comment without an end");
  if (end > begin && (source_[end - 1] == '-' || source_[end - 1] == '+')) --end;
  Advance(end - at_);
  TakeEnd("#}", /*trims=*/true);
  return absl::OkStatus();
}

// The bytes of "{% raw %}" at hand; 0 if something else is.
size_t Lexer::RawTag() const {
  absl::string_view text = rest();
  if (!absl::ConsumePrefix(&text, "{%")) return 0;
  if (!absl::ConsumePrefix(&text, "-")) absl::ConsumePrefix(&text, "+");
  text = Strip(text, {.left = true, .right = false});
  if (!absl::ConsumePrefix(&text, "raw")) return 0;
  text = Strip(text, {.left = true, .right = false});
  const bool ends = absl::ConsumePrefix(&text, "-%}") || absl::ConsumePrefix(&text, "%}");
  return ends ? rest().size() - text.size() : 0;
}

// "{% raw %} ... {% endraw %}": text in which tags mean nothing.
absl::Status Lexer::Raw(size_t tag_bytes) {
  const Position begin = position_;
  const bool strips = source_[at_ + tag_bytes - 3] == '-';
  Advance(tag_bytes);
  if (strips) SkipSpace();
  line_starting_ = source_[at_ - 1] == '\n';
  for (size_t tag = at_; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
    size_t after = tag + 2;
    if (after < source_.size() && (source_[after] == '-' || source_[after] == '+')) ++after;
    absl::string_view text = absl::string_view(source_).substr(after);
    text = Strip(text, {.left = true, .right = false});
    if (!absl::ConsumePrefix(&text, "endraw")) continue;
    text = Strip(text, {.left = true, .right = false});
    if (!absl::StartsWith(text, "%}") && !absl::StartsWith(text, "-%}") &&
        !absl::StartsWith(text, "+%}")) {
      continue;
    }
    AddData(rest().substr(0, tag - at_), absl::string_view(source_).substr(tag));
    Advance(rest().size() - text.size());
    TakeEnd("%}", /*trims=*/true);
    return absl::OkStatus();
  }
  return ErrorAt(begin, "raw without endraw");
}

// A tag with code in it: {{ ... }} or {% ... %}.
absl::Status Lexer::Code(bool block) {
  const Position begin = position_;
  Add(block ? Kind::kBlockBegin : Kind::kVariableBegin, "");
  Advance(2);
  if (Looking("-") || Looking("+")) {
    // "{{+1" prints 1: the plus stands for white space, as it does for jinja2.
    Advance(1);
  }
  open_.clear();
  while (at_ < source_.size()) {
    SkipSpace();
    const Position end = position_;
    if (open_.empty() && TakeEnd(block ? "%}" : "}}", block)) {
      tokens_.push_back({block ? Kind::kBlockEnd : Kind::kVariableEnd, "", end});
      return absl::OkStatus();
    }
    if (at_ < source_.size()) RETURN_IF_ERROR(CodeToken());
  }
  return ErrorAt(begin, block ? "{% without %}" : "{{ without }}");
}

absl::Status Lexer::CodeToken() {
  const char c = source_[at_];
  if (IsNameStart(c)) {
    size_t bytes = 1;
    while (bytes < rest().size() && IsNamePart(rest()[bytes])) ++bytes;
    Add(Kind::kName, std::string(rest().substr(0, bytes)));
    Advance(bytes);
    return absl::OkStatus();
  }
  if (absl::ascii_isdigit(c)) return Number();
  if (c == '\'' || c == '"') return String();
  return Operator();
}

absl::Status Lexer::Number() {
  const absl::string_view text = rest();
  size_t end = 0;
  bool is_float = false;
  const auto digits = [&] {
    while (end < text.size() &&
           (absl::ascii_isdigit(text[end]) ||
            (text[end] == '_' && end + 1 < text.size() && absl::ascii_isdigit(text[end + 1])))) {
      ++end;
    }
  };
  const auto digit_at = [&](size_t at) {
    return at < text.size() && absl::ascii_isdigit(text[at]);
  };
  digits();
  // After a dot there is an index ("x.0.1"), never a fraction.
  const bool index = !tokens_.empty() && tokens_.back().Is(Kind::kOperator, ".");
  if (!index && end < text.size() && text[end] == '.' && digit_at(end + 1)) {
    is_float = true;
    ++end;
    digits();
  }
  if (!index && end < text.size() && (text[end] | 32) == 'e') {
    const size_t sign = end + 1 < text.size() && (text[end + 1] == '+' || text[end + 1] == '-');
    if (digit_at(end + 1 + sign)) {
      is_float = true;
      end += 1 + sign;
      digits();
    }
  }
  if (end < text.size() && IsNamePart(text[end])) return Error("a number of a form not supported");
  std::string plain = absl::StrReplaceAll(text.substr(0, end), {{"_", ""}});
  if (!is_float && plain.size() > 1 && plain[0] == '0' &&
      plain.find_first_not_of('0') != std::string::npos) {
    return Error("an integer that begins with 0");
  }
  Add(is_float ? Kind::kFloat : Kind::kInteger, std::move(plain));
  Advance(end);
  return absl::OkStatus();
}

absl::Status Lexer::String() {
  const absl::string_view text = rest();
  size_t end = 1;
  while (end < text.size() && text[end] != text[0]) end += text[end] == '\\' ? 2 : 1;
  if (end >= text.size()) return Error("a string without an end");
  absl::StatusOr<std::string> meaning = Unescape(text.substr(1, end - 1));
  if (!meaning.ok()) return Error(meaning.status().message());
  Add(Kind::kString, *std::move(meaning));
  Advance(end + 1);
  return absl::OkStatus();
}

absl::Status Lexer::Operator() {
  static constexpr absl::string_view kOperators[] = {
      "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (absl::string_view each : kOperators) {
    if (!Looking(each)) continue;
    if (each == "(" || each == "[" || each == "{") {
      open_.push_back(each == "(" ? ')' : each == "[" ? ']' : '}');
    } else if (each == ")" || each == "]" || each == "}") {
      if (open_.empty() || open_.back() != each[0]) return Error(absl::StrCat("unexpected ", each));
      open_.pop_back();
    }
    Add(Kind::kOperator, std::string(each));
    Advance(each.size());
    return absl::OkStatus();
  }
  return Error(absl::StrCat("unexpected character ", absl::CHexEscape(rest().substr(0, 1))));
}

}  // namespace

absl::Status ErrorAt(Position position, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", position.line, ", column ", position.column, ": ", what));
}

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source) {
  if (!IsUtf8(source)) return absl::InvalidArgumentError("the template is not valid UTF-8");
  return Lexer(Normalized(source)).Run();
}

}  // namespace expertmesh::jinja
