// names.h: which filters, tests, methods and functions there are, and what they take. What is not
// here is refused when a template is parsed.
#pragma once

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace expertmesh::jinja {

enum class Filter : uint8_t {
  kTrim,
  kLength,
  kToJson,
  kJoin,
  kDefault,
  kFirst,
  kLast,
  kUpper,
  kLower,
  kReplace,
  kString,
  kInt,
  kList,
  kSafe,
  kEscape,
};

enum class Test : uint8_t {
  kDefined,
  kUndefined,
  kNone,
  kString,
  kMapping,
  kIterable,
  kSequence,
  kTrue,
  kFalse,
  kBoolean,
  kNumber,
  kInteger,
  kFloat,
  kOdd,
  kEven,
  kDivisibleBy,
  kIn,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
};

enum class Method : uint8_t {
  kSplit,
  kStrip,
  kLStrip,
  kRStrip,
  kStartsWith,
  kEndsWith,
  kUpper,
  kLower,
  kReplace,
  kItems,
  kKeys,
  kValues,
  kGet,
};

enum class Function : uint8_t { kNamespace, kDict, kRange, kRaiseException };

struct Signature {
  absl::string_view name;
  uint8_t id = 0;  // the enumerator
  uint8_t required = 0;
  std::array<absl::string_view, 4> parameters = {};  // those not empty, in order
};

// nullptr: there is none of that name.
const Signature* FindFilter(absl::string_view name);
const Signature* FindTest(absl::string_view name);
const Signature* FindMethod(absl::string_view name);
const Signature* FindFunction(absl::string_view name);

// A function of jinja2 or transformers, supported or not, by which a template may test for it.
bool IsFunctionName(absl::string_view name);

// Attributes that Python's str, list or dict have: there, x.name is a method and not an item.
bool IsTextMethod(absl::string_view name);
bool IsListMethod(absl::string_view name);
bool IsDictMethod(absl::string_view name);

// What a for loop's `loop` has.
enum class LoopAttribute : uint8_t {
  kIndex,
  kIndex0,
  kRevIndex,
  kRevIndex0,
  kFirst,
  kLast,
  kLength,
  kPrevItem,
  kNextItem,
  kNone,
};
LoopAttribute FindLoopAttribute(absl::string_view name);  // kNone: there is none of that name

}  // namespace expertmesh::jinja
