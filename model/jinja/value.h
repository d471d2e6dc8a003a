// value.h: what a template computes with: Python's values, as far as templates see them.
//
// Values never change once made, and share what they hold; only a Namespace is written to. So a
// value can hold no cycle. Strings are valid UTF-8 (Template::Render refuses others).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/budget.h"

namespace expertmesh::jinja {

struct List;
struct Dict;
struct Namespace;

class Value {
 public:
  using Pairs = std::vector<std::pair<Value, Value>>;
  // A view is what dict.items() and its like give: it can be walked and counted, not indexed.
  enum class ListForm { kList, kTuple, kRange, kView };

  Value() = default;  // undefined: prints as nothing, is false, has no attributes
  static Value Undefined(std::string name);  // the same; `name` is for messages
  static Value None() { return Value(Data(NoneType{})); }
  static Value Bool(bool value) { return Value(Data(value)); }
  static Value Integer(int64_t value) { return Value(Data(value)); }
  static Value Float(double value) { return Value(Data(value)); }
  static Value Text(absl::string_view text);
  static Value Text(std::string&& text);
  static Value Text(const char* text) { return Text(absl::string_view(text)); }
  static Value ListOf(std::vector<Value> items, ListForm form = ListForm::kList);
  // Keys are scalars (IsKey), each once; their order stays.
  static Value DictOf(Pairs items);
  static Value Of(Namespace* space) { return Value(Data(space)); }  // not owned

  bool is_undefined() const { return std::holds_alternative<UndefinedType>(data_); }
  bool is_none() const { return std::holds_alternative<NoneType>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_text() const { return std::holds_alternative<TextPointer>(data_); }
  bool is_list() const { return std::holds_alternative<ListPointer>(data_); }
  bool is_dict() const { return std::holds_alternative<DictPointer>(data_); }
  bool is_namespace() const { return std::holds_alternative<Namespace*>(data_); }
  bool is_key() const { return is_none() || is_number() || is_text(); }

  // Each only of a value of that kind.
  bool boolean() const { return std::get<bool>(data_); }
  absl::string_view text() const { return *std::get<TextPointer>(data_); }
  const List& list() const { return *std::get<ListPointer>(data_); }
  const Dict& dict() const { return *std::get<DictPointer>(data_); }
  Namespace& space() const { return *std::get<Namespace*>(data_); }
  // Of an integer or a bool, which Python counts among them; and of any number.
  int64_t integer() const { return is_bool() ? int64_t{boolean()} : std::get<int64_t>(data_); }
  double number() const {
    return is_float() ? std::get<double>(data_) : static_cast<double>(integer());
  }
  bool IsIntegral() const { return is_bool() || is_integer(); }

  bool Truthy() const;
  int depth() const;  // levels of lists and dicts; 0 for all else
  absl::string_view TypeName() const;
  // "'name' is undefined", of an undefined value.
  std::string UndefinedMessage() const;

 private:
  struct NoneType {};
  struct UndefinedType {
    std::shared_ptr<const std::string> name;  // may be null
  };
  using TextPointer = std::shared_ptr<const std::string>;
  using ListPointer = std::shared_ptr<const List>;
  using DictPointer = std::shared_ptr<const Dict>;
  using Data = std::variant<UndefinedType, NoneType, bool, int64_t, double, TextPointer,
                            ListPointer, DictPointer, Namespace*>;
  explicit Value(Data data) : data_(std::move(data)) {}

  Data data_;
};

struct List {
  std::vector<Value> items;
  Value::ListForm form = Value::ListForm::kList;
  int depth = 1;
};

struct Dict {
  Value::Pairs items;
  int depth = 1;
  const Value* Find(absl::string_view key) const;  // nullptr: not there
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* Find(absl::string_view name);
};

// Python's ==.
// Errors  INVALID_ARGUMENT: of views; else none but of the budget.
absl::StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget);
// The value of a key that is Equal; nullptr: not there.
absl::StatusOr<const Value*> Find(const Dict& dict, const Value& key, Budget& budget);

// Python's str().
// Errors  INVALID_ARGUMENT: a namespace, or a view or range, whose text nobody should rely on.
absl::StatusOr<std::string> ToText(const Value& value, Budget& budget);

// Whether all strings are UTF-8 and nothing is deeper than kValueDepthMax.
absl::Status CheckInput(const Value& value);

}  // namespace expertmesh::jinja
