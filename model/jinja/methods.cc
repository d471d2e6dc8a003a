#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/builtins.h"
#include "model/jinja/operators.h"
#include "model/jinja/text.h"

namespace expertmesh::jinja {
namespace {

bool Given(const Value* argument) { return argument != nullptr && !argument->is_none(); }

absl::StatusOr<int64_t> IntegerArgument(const Value* argument, int64_t otherwise) {
  if (argument == nullptr) return otherwise;
  if (argument->IsIntegral()) return argument->integer();
  return absl::InvalidArgumentError(
      absl::StrCat("found ", argument->TypeName(), " for an argument, expected an integer"));
}

absl::StatusOr<absl::string_view> TextArgument(const Value& argument) {
  if (argument.is_text()) return argument.text();
  return absl::InvalidArgumentError(
      absl::StrCat("found ", argument.TypeName(), " for an argument, expected a string"));
}

absl::StatusOr<Value> Parts(const std::vector<absl::string_view>& parts, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(parts.size()) * 80));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (absl::string_view part : parts) {
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(part.size())));
    items.push_back(Value::Text(part));
  }
  return MakeList(std::move(items), Value::ListForm::kList, budget);
}

std::vector<absl::string_view> SplitAt(absl::string_view text, absl::string_view separator,
                                       int64_t splits_max) {
  std::vector<absl::string_view> parts;
  while (splits_max < 0 || static_cast<int64_t>(parts.size()) < splits_max) {
    const size_t found = text.find(separator);
    // One more than a list may have is enough for it to be refused.
    if (found == absl::string_view::npos || parts.size() > kListMax) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<absl::string_view> SplitAtSpace(absl::string_view text, int64_t splits_max) {
  std::vector<absl::string_view> parts;
  text = Strip(text, {.left = true, .right = false});
  while (!text.empty() && parts.size() <= kListMax) {
    if (splits_max >= 0 && static_cast<int64_t>(parts.size()) == splits_max) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    for (size_t next = 0; end < text.size(); end = next) {
      if (IsSpace(NextCodePoint(text, &next))) break;
    }
    parts.push_back(text.substr(0, end));
    text = Strip(text.substr(end), {.left = true, .right = false});
  }
  return parts;
}

absl::StatusOr<Value> Split(absl::string_view text, Arguments arguments, Budget& budget) {
  ASSIGN_OR_RETURN(const int64_t splits_max, IntegerArgument(arguments[1], -1));
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
  if (!Given(arguments[0])) return Parts(SplitAtSpace(text, splits_max), budget);
  ASSIGN_OR_RETURN(const absl::string_view separator, TextArgument(*arguments[0]));
  if (separator.empty()) return absl::InvalidArgumentError("split by an empty string");
  return Parts(SplitAt(text, separator, splits_max), budget);
}

absl::StatusOr<Value> StripMethod(absl::string_view text, Sides sides, const Value* points,
                                  Budget& budget) {
  if (!Given(points)) return MakeText(std::string(Strip(text, sides)), budget);
  ASSIGN_OR_RETURN(const absl::string_view drop, TextArgument(*points));
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size() * drop.size())));
  return MakeText(std::string(StripPoints(text, drop, sides)), budget);
}

// Whether text begins, or ends, with an affix or with one of a tuple of them.
absl::StatusOr<Value> HasAffix(absl::string_view text, bool prefix, const Value& affix,
                               Budget& budget) {
  const bool tuple = affix.is_list() && affix.list().form == Value::ListForm::kTuple;
  const auto has = [&](absl::string_view each) {
    return prefix ? absl::StartsWith(text, each) : absl::EndsWith(text, each);
  };
  if (!tuple) {
    ASSIGN_OR_RETURN(const absl::string_view each, TextArgument(affix));
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(each.size())));
    return Value::Bool(has(each));
  }
  bool found = false;
  for (const Value& item : affix.list().items) {
    ASSIGN_OR_RETURN(const absl::string_view each, TextArgument(item));
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(each.size()) + 8));
    found = found || has(each);
  }
  return Value::Bool(found);
}

absl::StatusOr<Value> TextMethod(Method method, absl::string_view text, Arguments arguments,
                                 Budget& budget) {
  switch (method) {
    case Method::kSplit:
      return Split(text, arguments, budget);
    case Method::kStrip:
      return StripMethod(text, {}, arguments[0], budget);
    case Method::kLStrip:
      return StripMethod(text, {.left = true, .right = false}, arguments[0], budget);
    case Method::kRStrip:
      return StripMethod(text, {.left = false, .right = true}, arguments[0], budget);
    case Method::kStartsWith:
    case Method::kEndsWith:
      return HasAffix(text, method == Method::kStartsWith, *arguments[0], budget);
    case Method::kUpper:
    case Method::kLower:
      return ChangeCase(text, method == Method::kUpper, budget);
    case Method::kReplace: {
      ReplaceArguments replace;
      ASSIGN_OR_RETURN(replace.from, TextArgument(*arguments[0]));
      ASSIGN_OR_RETURN(replace.to, TextArgument(*arguments[1]));
      ASSIGN_OR_RETURN(replace.count, IntegerArgument(arguments[2], -1));
      return Replace(text, replace, budget);
    }
    default:
      return absl::InvalidArgumentError("a string has no such method");
  }
}

absl::StatusOr<Value> DictMethod(Method method, const Dict& dict, Arguments arguments,
                                 Budget& budget) {
  std::vector<Value> items;
  RETURN_IF_ERROR(budget.Steps(static_cast<int64_t>(dict.items.size())));
  switch (method) {
    case Method::kGet: {
      if (!arguments[0]->is_key() && !arguments[0]->is_undefined()) {
        return absl::InvalidArgumentError(
            absl::StrCat("a ", arguments[0]->TypeName(), " cannot be a key"));
      }
      ASSIGN_OR_RETURN(const Value* found, Find(dict, *arguments[0], budget));
      if (found != nullptr) return *found;
      return arguments[1] == nullptr ? Value::None() : *arguments[1];
    }
    case Method::kItems:
      for (const auto& [key, value] : dict.items) {
        ASSIGN_OR_RETURN(Value pair, MakeList({key, value}, Value::ListForm::kTuple, budget));
        items.push_back(std::move(pair));
      }
      break;
    case Method::kKeys:
      for (const auto& [key, value] : dict.items) items.push_back(key);
      break;
    case Method::kValues:
      for (const auto& [key, value] : dict.items) items.push_back(value);
      break;
    default:
      return absl::InvalidArgumentError("a dict has no such method");
  }
  return MakeList(std::move(items), Value::ListForm::kView, budget);
}

}  // namespace

absl::StatusOr<Value> CallMethod(Method method, const Value& subject, Arguments arguments,
                                 Budget& budget) {
  if (subject.is_undefined()) return absl::InvalidArgumentError(subject.UndefinedMessage());
  if (subject.is_text()) return TextMethod(method, subject.text(), arguments, budget);
  if (subject.is_dict()) return DictMethod(method, subject.dict(), arguments, budget);
  return absl::InvalidArgumentError(absl::StrCat("a ", subject.TypeName(), " has no such method"));
}

absl::StatusOr<Value> Range(Arguments arguments, Budget& budget) {
  ASSIGN_OR_RETURN(int64_t first, IntegerArgument(arguments[0], 0));
  ASSIGN_OR_RETURN(int64_t last, IntegerArgument(arguments[1], 0));
  ASSIGN_OR_RETURN(const int64_t step, IntegerArgument(arguments[2], 1));
  if (arguments[1] == nullptr) last = std::exchange(first, 0);
  if (step == 0) return absl::InvalidArgumentError("a range by steps of 0");
  std::vector<Value> items;
  // One element too many is enough for MakeList to refuse it.
  for (int64_t i = first; step > 0 ? i < last : i > last;) {
    items.push_back(Value::Integer(i));
    if (static_cast<int64_t>(items.size()) > kListMax) break;
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return MakeList(std::move(items), Value::ListForm::kRange, budget);
}

}  // namespace expertmesh::jinja
