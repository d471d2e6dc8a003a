#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/status.h"
#include "model/jinja/builtins.h"
#include "model/jinja/operators.h"
#include "model/jinja/text.h"
#include "model/jinja/to_json.h"

namespace expertmesh::jinja {
namespace {

bool IsTrue(const Value* argument) { return argument != nullptr && argument->Truthy(); }

absl::StatusOr<Value> Length(const Value& value, Budget& budget) {
  if (value.is_undefined()) return Value::Integer(0);
  if (value.is_list()) return Value::Integer(static_cast<int64_t>(value.list().items.size()));
  if (value.is_dict()) return Value::Integer(static_cast<int64_t>(value.dict().items.size()));
  if (value.is_text()) {
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(value.text().size())));
    return Value::Integer(CodePoints(value.text()));
  }
  return absl::InvalidArgumentError(absl::StrCat("a ", value.TypeName(), " has no length"));
}

// tojson(ensure_ascii, indent, separators, sort_keys)
absl::StatusOr<JsonStyle> StyleOf(Arguments arguments) {
  JsonStyle style;
  style.ascii = IsTrue(arguments[0]);
  style.sorted = IsTrue(arguments[3]);
  if (const Value* indent = arguments[1]; indent != nullptr && !indent->is_none()) {
    if (indent->is_text()) {
      style.indent = std::string(indent->text());
    } else if (indent->IsIntegral() && indent->integer() <= 100) {
      style.indent = std::string(std::max<int64_t>(indent->integer(), 0), ' ');
    } else {
      return absl::InvalidArgumentError("tojson: indent is not an integer up to 100 or a string");
    }
    style.item_separator.assign(1, ',');
  }
  if (const Value* separators = arguments[2]; separators != nullptr && !separators->is_none()) {
    if (!separators->is_list() || separators->list().items.size() != 2 ||
        !separators->list().items[0].is_text() || !separators->list().items[1].is_text()) {
      return absl::InvalidArgumentError("tojson: separators are not two strings");
    }
    style.item_separator = std::string(separators->list().items[0].text());
    style.key_separator = std::string(separators->list().items[1].text());
  }
  return style;
}

absl::StatusOr<Value> Join(const Value& value, const Value* separator, Budget& budget) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Elements(value, budget));
  std::string between;
  if (separator != nullptr) {
    ASSIGN_OR_RETURN(between, ToText(*separator, budget));
  }
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string text, ToText(items[i], budget));
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(between.size() + text.size())));
    absl::StrAppend(&out, i > 0 ? between : "", text);
  }
  return Value::Text(std::move(out));
}

absl::StatusOr<Value> FirstOrLast(const Value& value, bool first, Budget& budget) {
  if (value.is_text()) return GetItem(value, Value::Integer(first ? 0 : -1), budget);
  if (value.is_list()) {
    const std::vector<Value>& items = value.list().items;
    if (items.empty()) return Value();
    return first ? items.front() : items.back();
  }
  if (value.is_dict()) {
    const Value::Pairs& items = value.dict().items;
    if (items.empty()) return Value();
    return first ? items.front().first : items.back().first;
  }
  if (value.is_undefined()) return Value();
  return absl::InvalidArgumentError(absl::StrCat("a ", value.TypeName(), " has no elements"));
}

// What Python's int() and float() take: digits with single underscores between.
std::optional<std::string> PlainDigits(absl::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain.push_back(text[i]);
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() && absl::ascii_isdigit(text[i - 1]) &&
                         absl::ascii_isdigit(text[i + 1]);
    if (!between) return std::nullopt;
  }
  return plain;
}

absl::StatusOr<Value> Truncated(double number, const Value& otherwise) {
  if (!(number - number == 0)) return otherwise;  // infinite, or no number
  if (number >= 0x1p63 || number < -0x1p63) {
    return absl::InvalidArgumentError("an integer of more than 64 bits is not supported");
  }
  return Value::Integer(static_cast<int64_t>(number));
}

absl::StatusOr<Value> ToInteger(const Value& value, const Value& otherwise, Budget& budget) {
  if (value.is_undefined()) return absl::InvalidArgumentError(value.UndefinedMessage());
  if (value.IsIntegral()) return Value::Integer(value.integer());
  if (value.is_float()) return Truncated(value.number(), otherwise);
  if (!value.is_text()) return otherwise;
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(value.text().size())));
  const std::optional<std::string> plain = PlainDigits(Strip(value.text()));
  if (!plain || plain->empty()) return otherwise;
  int64_t integer = 0;
  if (absl::SimpleAtoi(*plain, &integer)) return Value::Integer(integer);
  const bool digits =
      plain->find_first_not_of("0123456789", plain->find_first_of("+-") == 0) == std::string::npos;
  if (digits && plain->size() > 1) {
    return absl::InvalidArgumentError("an integer of more than 64 bits is not supported");
  }
  double number = 0;
  const bool is_hex = absl::StrContains(*plain, 'x') || absl::StrContains(*plain, 'X');
  if (is_hex || !absl::SimpleAtod(*plain, &number)) return otherwise;
  return Truncated(number, otherwise);
}

absl::StatusOr<Value> ReplaceFilter(const Value& subject, Arguments arguments, Budget& budget) {
  ASSIGN_OR_RETURN(const std::string text, ToText(subject, budget));
  ASSIGN_OR_RETURN(const std::string from, ToText(*arguments[0], budget));
  ASSIGN_OR_RETURN(const std::string to, ToText(*arguments[1], budget));
  ReplaceArguments replace{from, to};
  if (arguments[2] != nullptr && !arguments[2]->is_none()) {
    if (!arguments[2]->IsIntegral())
      return absl::InvalidArgumentError("replace: count is no integer");
    replace.count = arguments[2]->integer();
  }
  return Replace(text, replace, budget);
}

absl::StatusOr<Value> Trim(const Value& subject, const Value* points, Budget& budget) {
  ASSIGN_OR_RETURN(const std::string text, ToText(subject, budget));
  if (points == nullptr || points->is_none()) return Value::Text(Strip(text));
  if (!points->is_text()) return absl::InvalidArgumentError("trim: chars is no string");
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size() * points->text().size())));
  return Value::Text(StripPoints(text, points->text()));
}

}  // namespace

absl::StatusOr<Value> CallFilter(Filter filter, const Value& subject, Arguments arguments,
                                 Budget& budget) {
  switch (filter) {
    case Filter::kTrim:
      return Trim(subject, arguments[0], budget);
    case Filter::kLength:
      return Length(subject, budget);
    case Filter::kToJson: {
      ASSIGN_OR_RETURN(const JsonStyle style, StyleOf(arguments));
      ASSIGN_OR_RETURN(std::string text, ToJson(subject, style, budget));
      return MakeText(std::move(text), budget);
    }
    case Filter::kJoin:
      return Join(subject, arguments[0], budget);
    case Filter::kDefault:
      if (subject.is_undefined() || (IsTrue(arguments[1]) && !subject.Truthy())) {
        return arguments[0] == nullptr ? Value::Text("") : *arguments[0];
      }
      return subject;
    case Filter::kFirst:
    case Filter::kLast:
      return FirstOrLast(subject, filter == Filter::kFirst, budget);
    case Filter::kUpper:
    case Filter::kLower: {
      ASSIGN_OR_RETURN(const std::string text, ToText(subject, budget));
      return ChangeCase(text, filter == Filter::kUpper, budget);
    }
    case Filter::kReplace:
      return ReplaceFilter(subject, arguments, budget);
    case Filter::kString: {
      ASSIGN_OR_RETURN(std::string text, ToText(subject, budget));
      return Value::Text(std::move(text));
    }
    case Filter::kInt:
      return ToInteger(subject, arguments[0] == nullptr ? Value::Integer(0) : *arguments[0],
                       budget);
    case Filter::kList: {
      ASSIGN_OR_RETURN(std::vector<Value> items, Elements(subject, budget));
      return MakeList(std::move(items), Value::ListForm::kList, budget);
    }
    case Filter::kSafe:
    case Filter::kEscape:
      break;
  }
  return absl::InvalidArgumentError("safe and escape are not supported here");
}

std::string EscapedHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}});
}

absl::StatusOr<Value> Replace(absl::string_view text, const ReplaceArguments& arguments,
                              Budget& budget) {
  const auto& [from, to, count] = arguments;
  std::string out;
  size_t at = 0;
  // An empty `from` is found before each code point and at the end.
  for (int64_t done = 0; count < 0 || done < count; ++done) {
    const size_t found = text.find(from, at);
    if (found == absl::string_view::npos) break;
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(found - at + to.size()) + 8));
    absl::StrAppend(&out, text.substr(at, found - at), to);
    at = found + from.size();
    if (!from.empty()) continue;
    if (at == text.size()) return Value::Text(std::move(out));
    const size_t begin = at;
    NextCodePoint(text, &at);
    absl::StrAppend(&out, text.substr(begin, at - begin));
  }
  absl::StrAppend(&out, text.substr(at));
  return MakeText(std::move(out), budget);
}

absl::StatusOr<Value> ChangeCase(absl::string_view text, bool upper, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size()) * 2));
  for (size_t at = 0; at < text.size();) {
    if (HasUnknownCase(NextCodePoint(text, &at))) {
      return absl::InvalidArgumentError(
          "upper and lower of letters beyond ASCII are not supported");
    }
  }
  return Value::Text(upper ? absl::AsciiStrToUpper(text) : absl::AsciiStrToLower(text));
}

}  // namespace expertmesh::jinja
