#include "model/jinja/to_json.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status.h"
#include "model/jinja/text.h"

namespace expertmesh::jinja {
namespace {

void AppendUnit(uint32_t unit, std::string* out) { absl::StrAppendFormat(out, "\\u%04x", unit); }

void AppendString(absl::string_view text, bool ascii, std::string* out) {
  static constexpr absl::string_view kEscaped = "\"\\\n\r\t\b\f";
  static constexpr absl::string_view kEscapes = "\"\\nrtbf";
  out->push_back('"');
  for (size_t at = 0; at < text.size();) {
    const char32_t point = NextCodePoint(text, &at);
    const size_t which = point < 0x80 ? kEscaped.find(static_cast<char>(point)) : kEscaped.npos;
    if (which != kEscaped.npos) {
      out->push_back('\\');
      out->push_back(kEscapes[which]);
    } else if (point < 0x20 || (ascii && point >= 0x7F && point <= 0xFFFF)) {
      AppendUnit(point, out);
    } else if (ascii && point > 0xFFFF) {
      AppendUnit(0xD800 + ((point - 0x10000) >> 10), out);
      AppendUnit(0xDC00 + ((point - 0x10000) & 0x3FF), out);
    } else {
      AppendCodePoint(point, out);
    }
  }
  out->push_back('"');
}

std::string NumberText(const Value& value) {
  if (value.is_bool()) return value.boolean() ? "true" : "false";
  if (value.is_integer()) return absl::StrCat(value.integer());
  const double number = value.number();
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  return FloatText(number);
}

class Writer {
 public:
  Writer(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  absl::Status Write(const Value& value) {
    RETURN_IF_ERROR(budget_.Bytes(8));
    if (value.is_none()) {
      out_ += "null";
    } else if (value.is_number()) {
      out_ += NumberText(value);
    } else if (value.is_text()) {
      RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(value.text().size())));
      AppendString(value.text(), style_.ascii, &out_);
    } else if (value.is_dict()) {
      return WriteDict(value.dict());
    } else if (value.is_list() && (value.list().form == Value::ListForm::kList ||
                                   value.list().form == Value::ListForm::kTuple)) {
      return WriteList(value.list());
    } else if (value.is_undefined()) {
      return absl::InvalidArgumentError(absl::StrCat(value.UndefinedMessage(), ": no JSON"));
    } else {
      return absl::InvalidArgumentError(absl::StrCat("a ", value.TypeName(), " has no JSON"));
    }
    return absl::OkStatus();
  }

  std::string Take() { return std::move(out_); }

 private:
  absl::Status Break() {
    if (!style_.indent) return absl::OkStatus();
    RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(style_.indent->size()) * level_ + 1));
    out_.push_back('\n');
    for (int i = 0; i < level_; ++i) out_ += *style_.indent;
    return absl::OkStatus();
  }

  absl::Status WriteList(const List& list) {
    if (list.items.empty()) {
      out_ += "[]";
      return absl::OkStatus();
    }
    out_ += '[';
    ++level_;
    bool first = true;
    for (const Value& item : list.items) {
      if (!std::exchange(first, false)) out_ += style_.item_separator;
      RETURN_IF_ERROR(Break());
      RETURN_IF_ERROR(Write(item));
    }
    --level_;
    RETURN_IF_ERROR(Break());
    out_ += ']';
    return absl::OkStatus();
  }

  absl::Status WriteDict(const Dict& dict) {
    if (dict.items.empty()) {
      out_ += "{}";
      return absl::OkStatus();
    }
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style_.sorted) RETURN_IF_ERROR(Sort(&items));
    out_ += '{';
    ++level_;
    bool first = true;
    for (const auto* item : items) {
      if (!std::exchange(first, false)) out_ += style_.item_separator;
      RETURN_IF_ERROR(Break());
      const Value& key = item->first;
      const std::string name = key.is_text()   ? std::string(key.text())
                               : key.is_none() ? "null"
                                               : NumberText(key);
      RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(name.size())));
      AppendString(name, style_.ascii, &out_);
      out_ += style_.key_separator;
      RETURN_IF_ERROR(Write(item->second));
    }
    --level_;
    RETURN_IF_ERROR(Break());
    out_ += '}';
    return absl::OkStatus();
  }

  static absl::Status Sort(std::vector<const std::pair<Value, Value>*>* items) {
    for (const auto* item : *items) {
      if (!item->first.is_text()) {
        return absl::InvalidArgumentError("sort_keys of keys other than strings is not supported");
      }
    }
    std::sort(items->begin(), items->end(),
              [](auto* a, auto* b) { return a->first.text() < b->first.text(); });
    return absl::OkStatus();
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string out_;
  int level_ = 0;
};

}  // namespace

absl::StatusOr<std::string> ToJson(const Value& value, const JsonStyle& style, Budget& budget) {
  Writer writer(style, budget);
  RETURN_IF_ERROR(writer.Write(value));
  return writer.Take();
}

}  // namespace expertmesh::jinja
