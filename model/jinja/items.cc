// What is inside a value: attributes, items, slices, elements.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/names.h"
#include "model/jinja/operators.h"
#include "model/jinja/text.h"

namespace expertmesh::jinja {
namespace {

bool HasMethod(const Value& value, absl::string_view name) {
  return (value.is_text() && IsTextMethod(name)) || (value.is_list() && IsListMethod(name)) ||
         (value.is_dict() && IsDictMethod(name));
}

// Python would give the method itself here, which is never what a template wants.
absl::Status MethodAsValue(const Value& value, absl::string_view name) {
  return absl::InvalidArgumentError(absl::StrCat("'", name, "' of a ", value.TypeName(),
                                                 " is a method; as a value it is not supported"));
}

// Code points of a text take time to count to.
absl::StatusOr<Value> CodePointAt(absl::string_view text, int64_t index, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
  const int64_t count = CodePoints(text);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return Value();
  const size_t begin = ByteOffset(text, index);
  size_t end = begin;
  NextCodePoint(text, &end);
  return Value::Text(text.substr(begin, end - begin));
}

struct Span {
  int64_t first;
  int64_t last;
  int64_t step;
};

absl::StatusOr<int64_t> Bound(const Value& bound, int64_t otherwise) {
  if (bound.is_none()) return otherwise;
  if (bound.IsIntegral()) return bound.integer();
  return absl::InvalidArgumentError(absl::StrCat("a slice by ", bound.TypeName()));
}

// As Python's slice.indices(): all within [0, count], or [-1, count - 1] going down.
absl::StatusOr<Span> Indices(const SliceBounds& bounds, int64_t count) {
  ASSIGN_OR_RETURN(int64_t step, Bound(bounds.step, 1));
  if (step == 0) return absl::InvalidArgumentError("a slice by steps of 0");
  step = std::clamp<int64_t>(step, -kListMax * 1000, kListMax * 1000);
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? count : count - 1;
  ASSIGN_OR_RETURN(int64_t first, Bound(bounds.first, step > 0 ? low : high));
  ASSIGN_OR_RETURN(int64_t last, Bound(bounds.last, step > 0 ? high : low));
  const auto within = [&](const Value& given, int64_t bound) {
    if (given.is_none()) return bound;
    if (bound < 0) bound += count;
    return std::clamp(bound, low, high);
  };
  return Span{within(bounds.first, first), within(bounds.last, last), step};
}

absl::StatusOr<Value> TextSlice(absl::string_view text, const SliceBounds& bounds, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(2 * static_cast<int64_t>(text.size())));
  ASSIGN_OR_RETURN(const Span span, Indices(bounds, CodePoints(text)));
  if (span.step == 1) {
    const size_t begin = ByteOffset(text, span.first);
    const size_t bytes =
        span.last > span.first ? ByteOffset(text.substr(begin), span.last - span.first) : 0;
    return Value::Text(text.substr(begin, bytes));
  }
  RETURN_IF_ERROR(budget.Bytes(4 * static_cast<int64_t>(text.size())));
  std::u32string points;
  for (size_t at = 0; at < text.size();) points.push_back(NextCodePoint(text, &at));
  std::string out;
  for (int64_t i = span.first; span.step > 0 ? i < span.last : i > span.last; i += span.step) {
    AppendCodePoint(points[i], &out);
  }
  return Value::Text(std::move(out));
}

}  // namespace

absl::StatusOr<Value> GetAttribute(const Value& value, const std::string& name, Budget& budget) {
  if (value.is_undefined()) return absl::InvalidArgumentError(value.UndefinedMessage());
  if (value.is_namespace()) {
    const Value* found = value.space().Find(name);
    RETURN_IF_ERROR(budget.Steps(static_cast<int64_t>(value.space().attributes.size()) / 16));
    return found == nullptr ? Value::Undefined(name) : *found;
  }
  if (HasMethod(value, name)) return MethodAsValue(value, name);
  if (!value.is_dict()) return Value::Undefined(name);
  ASSIGN_OR_RETURN(const Value* found, Find(value.dict(), Value::Text(name), budget));
  return found == nullptr ? Value::Undefined(name) : *found;
}

absl::StatusOr<Value> GetItem(const Value& value, const Value& index, Budget& budget) {
  if (value.is_undefined()) return absl::InvalidArgumentError(value.UndefinedMessage());
  if (value.is_dict() && index.is_key()) {
    ASSIGN_OR_RETURN(const Value* found, Find(value.dict(), index, budget));
    if (found != nullptr) return *found;
  }
  if (index.is_text()) {
    if (value.is_namespace()) return GetAttribute(value, std::string(index.text()), budget);
    if (HasMethod(value, index.text())) return MethodAsValue(value, index.text());
    return Value::Undefined(std::string(index.text().substr(0, 100)));
  }
  if (!index.IsIntegral()) return Value();
  int64_t at = index.integer();
  if (value.is_text()) return CodePointAt(value.text(), at, budget);
  if (!value.is_list() || value.list().form == Value::ListForm::kView) return Value();
  const std::vector<Value>& items = value.list().items;
  const auto count = static_cast<int64_t>(items.size());
  if (at < 0) at += count;
  return at < 0 || at >= count ? Value() : items[at];
}

absl::StatusOr<Value> GetSlice(const Value& value, const SliceBounds& bounds, Budget& budget) {
  if (value.is_undefined()) return absl::InvalidArgumentError(value.UndefinedMessage());
  if (value.is_text()) return TextSlice(value.text(), bounds, budget);
  if (!value.is_list() || value.list().form == Value::ListForm::kView) {
    return absl::InvalidArgumentError(absl::StrCat("a slice of a ", value.TypeName()));
  }
  const std::vector<Value>& items = value.list().items;
  ASSIGN_OR_RETURN(const Span span, Indices(bounds, static_cast<int64_t>(items.size())));
  std::vector<Value> out;
  for (int64_t i = span.first; span.step > 0 ? i < span.last : i > span.last; i += span.step) {
    out.push_back(items[i]);
  }
  return MakeList(std::move(out), value.list().form, budget);
}

absl::StatusOr<std::vector<Value>> Elements(const Value& value, Budget& budget) {
  std::vector<Value> out;
  if (value.is_undefined()) return out;
  if (value.is_list()) {
    out = value.list().items;
  } else if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().items) out.push_back(key);
  } else if (value.is_text()) {
    const absl::string_view text = value.text();
    RETURN_IF_ERROR(budget.Steps(static_cast<int64_t>(text.size())));
    RETURN_IF_ERROR(budget.Bytes(CodePoints(text) * 80));
    for (size_t begin = 0, at = 0; at < text.size(); begin = at) {
      NextCodePoint(text, &at);
      out.push_back(Value::Text(text.substr(begin, at - begin)));
    }
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", value.TypeName(), " cannot be walked over"));
  }
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(out.size() * sizeof(Value))));
  return out;
}

}  // namespace expertmesh::jinja
