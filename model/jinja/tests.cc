#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/builtins.h"
#include "model/jinja/operators.h"

namespace expertmesh::jinja {
namespace {

// What is left of a division; only integers are asked whether they are odd.
absl::StatusOr<bool> Remainder(const Value& value, const Value& divisor, int64_t expected,
                               Budget& budget) {
  ASSIGN_OR_RETURN(const Value rest, Apply(Node::Operation::kModulo, value, divisor, budget));
  return rest.number() == static_cast<double>(expected);
}

bool IsSequence(const Value& value) {
  if (value.is_list()) return value.list().form != Value::ListForm::kView;
  return value.is_text() || value.is_dict() || value.is_undefined();
}

}  // namespace

absl::StatusOr<bool> CallTest(Test test, const Value& subject, Arguments arguments,
                              Budget& budget) {
  using Comparison = Node::Comparison;
  const auto compare = [&](Comparison comparison) {
    return Compare(comparison, subject, *arguments[0], budget);
  };
  switch (test) {
    case Test::kDefined:
      return !subject.is_undefined();
    case Test::kUndefined:
      return subject.is_undefined();
    case Test::kNone:
      return subject.is_none();
    case Test::kString:
      return subject.is_text();
    case Test::kMapping:
      return subject.is_dict();
    case Test::kIterable:
      return subject.is_text() || subject.is_list() || subject.is_dict() || subject.is_undefined();
    case Test::kSequence:
      return IsSequence(subject);
    case Test::kTrue:
      return subject.is_bool() && subject.boolean();
    case Test::kFalse:
      return subject.is_bool() && !subject.boolean();
    case Test::kBoolean:
      return subject.is_bool();
    case Test::kNumber:
      return subject.is_number();
    case Test::kInteger:
      return subject.is_integer();
    case Test::kFloat:
      return subject.is_float();
    case Test::kOdd:
      return Remainder(subject, Value::Integer(2), 1, budget);
    case Test::kEven:
      return Remainder(subject, Value::Integer(2), 0, budget);
    case Test::kDivisibleBy:
      return Remainder(subject, *arguments[0], 0, budget);
    case Test::kIn:
      return compare(Comparison::kIn);
    case Test::kEqual:
      return compare(Comparison::kEqual);
    case Test::kNotEqual:
      return compare(Comparison::kNotEqual);
    case Test::kLess:
      return compare(Comparison::kLess);
    case Test::kLessEqual:
      return compare(Comparison::kLessEqual);
    case Test::kGreater:
      return compare(Comparison::kGreater);
    case Test::kGreaterEqual:
      return compare(Comparison::kGreaterEqual);
  }
  return absl::InvalidArgumentError("unknown test");
}

}  // namespace expertmesh::jinja
