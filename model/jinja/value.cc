#include "model/jinja/value.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/text.h"

namespace expertmesh::jinja {
namespace {

absl::StatusOr<bool> EqualLists(const List& a, const List& b, Budget& budget) {
  // In Python some views compare as sets, and some never are equal.
  if (a.form == Value::ListForm::kView || b.form == Value::ListForm::kView) {
    return absl::InvalidArgumentError("a comparison of a view of a dict is not supported");
  }
  if (a.items.size() != b.items.size() || a.form != b.form) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    ASSIGN_OR_RETURN(const bool equal, Equal(a.items[i], b.items[i], budget));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> EqualDicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    ASSIGN_OR_RETURN(const Value* other, Find(b, key, budget));
    if (other == nullptr) return false;
    ASSIGN_OR_RETURN(const bool equal, Equal(value, *other, budget));
    if (!equal) return false;
  }
  return true;
}

// Appends Python's repr(). A value may be shared many times over: the budget ends what is too much.
absl::Status AppendRepr(const Value& value, std::string* out, Budget& budget) {
  if (value.is_text()) {
    absl::StrAppend(out, Quoted(value.text()));
    return budget.Bytes(static_cast<int64_t>(value.text().size()) + 2);
  }
  if (!value.is_list() && !value.is_dict()) {
    if (value.is_undefined()) {
      absl::StrAppend(out, "Undefined");
    } else {
      ASSIGN_OR_RETURN(const std::string text, ToText(value, budget));
      absl::StrAppend(out, text);
    }
    return budget.Bytes(8);
  }
  RETURN_IF_ERROR(budget.Bytes(8));
  absl::string_view separator;
  if (value.is_dict()) {
    out->push_back('{');
    for (const auto& [key, item] : value.dict().items) {
      absl::StrAppend(out, separator);
      RETURN_IF_ERROR(AppendRepr(key, out, budget));
      absl::StrAppend(out, ": ");
      RETURN_IF_ERROR(AppendRepr(item, out, budget));
      separator = ", ";
    }
    out->push_back('}');
    return absl::OkStatus();
  }
  const List& list = value.list();
  if (list.form == Value::ListForm::kRange || list.form == Value::ListForm::kView) {
    return absl::InvalidArgumentError("a range or a view of a dict as text is not supported");
  }
  const bool tuple = list.form == Value::ListForm::kTuple;
  out->push_back(tuple ? '(' : '[');
  for (const Value& item : list.items) {
    absl::StrAppend(out, separator);
    RETURN_IF_ERROR(AppendRepr(item, out, budget));
    separator = ", ";
  }
  absl::StrAppend(out, tuple && list.items.size() == 1 ? "," : "", tuple ? ")" : "]");
  return absl::OkStatus();
}

}  // namespace

Value Value::Undefined(std::string name) {
  return Value(Data(UndefinedType{std::make_shared<const std::string>(std::move(name))}));
}

Value Value::Text(absl::string_view text) { return Text(std::string(text)); }

Value Value::Text(std::string&& text) {
  return Value(Data(std::make_shared<const std::string>(std::move(text))));
}

Value Value::ListOf(std::vector<Value> items, ListForm form) {
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
  return Value(Data(std::make_shared<const List>(List{std::move(items), form, depth})));
}

Value Value::DictOf(Pairs items) {
  int depth = 1;
  for (const auto& [key, item] : items) depth = std::max(depth, item.depth() + 1);
  return Value(Data(std::make_shared<const Dict>(Dict{std::move(items), depth})));
}

bool Value::Truthy() const {
  if (is_number()) return number() != 0;
  if (is_text()) return !text().empty();
  if (is_list()) return !list().items.empty();
  if (is_dict()) return !dict().items.empty();
  return is_namespace();
}

int Value::depth() const { return is_list() ? list().depth : is_dict() ? dict().depth : 0; }

absl::string_view Value::TypeName() const {
  static constexpr absl::string_view kNames[] = {"undefined", "none", "bool", "int",      "float",
                                                 "string",    "list", "dict", "namespace"};
  return kNames[data_.index()];
}

std::string Value::UndefinedMessage() const {
  const auto* undefined = std::get_if<UndefinedType>(&data_);
  if (undefined == nullptr || undefined->name == nullptr) return "an undefined value";
  return absl::StrCat("'", *undefined->name, "' is undefined");
}

const Value* Dict::Find(absl::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name.is_text() && name.text() == key) return &value;
  }
  return nullptr;
}

Value* Namespace::Find(absl::string_view name) {
  for (auto& [each, value] : attributes) {
    if (each == name) return &value;
  }
  return nullptr;
}

absl::StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(8));
  if (a.IsIntegral() && b.IsIntegral()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.is_text() && b.is_text()) {
    if (a.text().size() != b.text().size()) return false;
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(a.text().size())));
    return a.text() == b.text();
  }
  if (a.is_list() && b.is_list()) return EqualLists(a.list(), b.list(), budget);
  if (a.is_dict() && b.is_dict()) return EqualDicts(a.dict(), b.dict(), budget);
  if (a.is_namespace() && b.is_namespace()) return &a.space() == &b.space();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

absl::StatusOr<const Value*> Find(const Dict& dict, const Value& key, Budget& budget) {
  RETURN_IF_ERROR(budget.Steps(1 + static_cast<int64_t>(dict.items.size()) / 16));
  if (key.is_text()) return dict.Find(key.text());
  for (const auto& [each, value] : dict.items) {
    ASSIGN_OR_RETURN(const bool equal, Equal(each, key, budget));
    if (equal) return &value;
  }
  return nullptr;
}

absl::StatusOr<std::string> ToText(const Value& value, Budget& budget) {
  if (value.is_undefined()) return std::string();
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.boolean() ? "True" : "False";
  if (value.is_integer()) return absl::StrCat(value.integer());
  if (value.is_float()) return FloatText(value.number());
  if (value.is_text()) {
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(value.text().size())));
    return std::string(value.text());
  }
  if (value.is_namespace()) {
    return absl::InvalidArgumentError("a namespace as text is not supported");
  }
  std::string out;
  RETURN_IF_ERROR(AppendRepr(value, &out, budget));
  return out;
}

absl::Status CheckInput(const Value& value) {
  if (value.depth() > kValueDepthMax) {
    return absl::InvalidArgumentError(absl::StrCat("lists and dicts within each other, ",
                                                   value.depth(), " levels; at most ",
                                                   kValueDepthMax, " are allowed"));
  }
  if (value.is_text() && !IsUtf8(value.text())) {
    return absl::InvalidArgumentError("a string is not valid UTF-8");
  }
  if (value.is_list()) {
    for (const Value& item : value.list().items) RETURN_IF_ERROR(CheckInput(item));
  }
  if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().items) {
      RETURN_IF_ERROR(CheckInput(key));
      RETURN_IF_ERROR(CheckInput(item));
    }
  }
  return absl::OkStatus();
}

}  // namespace expertmesh::jinja
