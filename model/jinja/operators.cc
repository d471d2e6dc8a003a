#include "model/jinja/operators.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::jinja {
namespace {

using Operation = Node::Operation;
using Comparison = Node::Comparison;

constexpr absl::string_view kSigns[] = {"+", "-", "*", "/", "//", "%"};
constexpr absl::string_view kComparisons[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};

absl::Status Unfit(absl::string_view sign, const Value& a, const Value& b) {
  if (a.is_undefined()) return absl::InvalidArgumentError(a.UndefinedMessage());
  if (b.is_undefined()) return absl::InvalidArgumentError(b.UndefinedMessage());
  return absl::InvalidArgumentError(
      absl::StrCat("'", sign, "' of ", a.TypeName(), " and ", b.TypeName()));
}

absl::Status TooLarge() {
  return absl::InvalidArgumentError("an integer of more than 64 bits is not supported");
}

absl::StatusOr<Value> ApplyIntegers(Operation operation, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (operation) {
    case Operation::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operation::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operation::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operation::kDivide:
    case Operation::kFloorDivide:
    case Operation::kModulo: {
      if (b == 0) return absl::InvalidArgumentError("division by zero");
      if (operation == Operation::kDivide) {
        return Value::Float(static_cast<double>(a) / static_cast<double>(b));
      }
      if (b == -1) {  // the one quotient that may not fit
        if (operation == Operation::kModulo) return Value::Integer(0);
        overflow = __builtin_sub_overflow(0, a, &result);
        break;
      }
      // Python rounds down, and gives the remainder the sign of the divisor.
      const bool down = a % b != 0 && (a < 0) != (b < 0);
      result = operation == Operation::kModulo ? a % b + (down ? b : 0) : a / b - (down ? 1 : 0);
      break;
    }
  }
  if (overflow) return TooLarge();
  return Value::Integer(result);
}

absl::StatusOr<Value> ApplyFloats(Operation operation, double a, double b) {
  switch (operation) {
    case Operation::kAdd:
      return Value::Float(a + b);
    case Operation::kSubtract:
      return Value::Float(a - b);
    case Operation::kMultiply:
      return Value::Float(a * b);
    default:
      break;
  }
  if (b == 0) return absl::InvalidArgumentError("division by zero");
  if (operation == Operation::kDivide) return Value::Float(a / b);
  // Step by step as CPython, so that it rounds as CPython.
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder == 0) {
    remainder = std::copysign(0.0, b);
  } else if ((remainder < 0) != (b < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (operation == Operation::kModulo) return Value::Float(remainder);
  if (quotient == 0) return Value::Float(std::copysign(0.0, a / b));
  const double floored = std::floor(quotient);
  return Value::Float(quotient - floored > 0.5 ? floored + 1 : floored);
}

// text * count and list * count.
absl::StatusOr<Value> Repeat(const Value& value, int64_t count, Budget& budget) {
  if (count < 0) count = 0;
  const int64_t size =
      static_cast<int64_t>(value.is_text() ? value.text().size() : value.list().items.size());
  int64_t total = 0;
  if (__builtin_mul_overflow(size, count, &total)) return TooLarge();
  RETURN_IF_ERROR(budget.Bytes(total));
  if (value.is_text()) {
    std::string text;
    text.reserve(total);
    for (int64_t i = 0; i < count && size > 0; ++i) absl::StrAppend(&text, value.text());
    return Value::Text(std::move(text));
  }
  if (total > kListMax) return MakeList(std::vector<Value>(kListMax + 1), {}, budget);
  std::vector<Value> items;
  for (int64_t i = 0; i < total; ++i) items.push_back(value.list().items[i % size]);
  return MakeList(std::move(items), value.list().form, budget);
}

absl::StatusOr<Value> Append(const Value& a, const Value& b, Budget& budget) {
  if (a.is_text() && b.is_text()) {
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(a.text().size() + b.text().size())));
    return Value::Text(absl::StrCat(a.text(), b.text()));
  }
  const bool lists =
      a.is_list() && b.is_list() && a.list().form == b.list().form &&
      (a.list().form == Value::ListForm::kList || a.list().form == Value::ListForm::kTuple);
  if (!lists) return Unfit("+", a, b);
  std::vector<Value> items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return MakeList(std::move(items), a.list().form, budget);
}

// Whether a < b, of lists: by the first pair that differs.
absl::StatusOr<bool> ListLess(Comparison comparison, const Value& a, const Value& b,
                              Budget& budget) {
  const List& left = a.list();
  const List& right = b.list();
  const auto ordered = [](const List& list) {
    return list.form == Value::ListForm::kList || list.form == Value::ListForm::kTuple;
  };
  if (left.form != right.form || !ordered(left)) {
    return Unfit(kComparisons[static_cast<int>(comparison)], a, b);
  }
  for (size_t i = 0; i < left.items.size() && i < right.items.size(); ++i) {
    ASSIGN_OR_RETURN(const bool equal, Equal(left.items[i], right.items[i], budget));
    if (!equal) return Compare(comparison, left.items[i], right.items[i], budget);
  }
  return Compare(comparison, Value::Integer(static_cast<int64_t>(left.items.size())),
                 Value::Integer(static_cast<int64_t>(right.items.size())), budget);
}

template <typename Ordered>
bool InOrder(Comparison comparison, const Ordered& a, const Ordered& b) {
  switch (comparison) {
    case Comparison::kLess:
      return a < b;
    case Comparison::kLessEqual:
      return a <= b;
    case Comparison::kGreater:
      return a > b;
    default:
      return a >= b;
  }
}

absl::StatusOr<bool> Contains(const Value& item, const Value& container, Budget& budget) {
  if (container.is_undefined()) return false;
  if (container.is_text() && item.is_text()) {
    RETURN_IF_ERROR(
        budget.Bytes(static_cast<int64_t>(container.text().size() + item.text().size())));
    return absl::StrContains(container.text(), item.text());
  }
  if (container.is_dict() && (item.is_key() || item.is_undefined())) {
    ASSIGN_OR_RETURN(const Value* found, Find(container.dict(), item, budget));
    return found != nullptr;
  }
  if (!container.is_list()) return Unfit("in", item, container);
  for (const Value& each : container.list().items) {
    ASSIGN_OR_RETURN(const bool equal, Equal(each, item, budget));
    if (equal) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Value> MakeList(std::vector<Value> items, Value::ListForm form, Budget& budget) {
  const auto count = static_cast<int64_t>(items.size());
  if (count > kListMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a list of more than ", kListMax, " elements"));
  }
  RETURN_IF_ERROR(budget.Steps(count / 16));
  RETURN_IF_ERROR(budget.Bytes(count * static_cast<int64_t>(sizeof(Value))));
  Value list = Value::ListOf(std::move(items), form);
  if (list.depth() <= kValueDepthMax) return list;
  return absl::ResourceExhaustedError(
      absl::StrCat("lists within lists, more than ", kValueDepthMax, " levels"));
}

absl::StatusOr<Value> MakeText(std::string text, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
  return Value::Text(std::move(text));
}

absl::StatusOr<Value> Apply(Operation operation, const Value& a, const Value& b, Budget& budget) {
  if (a.IsIntegral() && b.IsIntegral()) return ApplyIntegers(operation, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return ApplyFloats(operation, a.number(), b.number());
  if (operation == Operation::kAdd) return Append(a, b, budget);
  if (operation == Operation::kMultiply) {
    const auto repeats = [](const Value& value) {
      return value.is_text() || (value.is_list() && (value.list().form == Value::ListForm::kList ||
                                                     value.list().form == Value::ListForm::kTuple));
    };
    if (repeats(a) && b.IsIntegral()) return Repeat(a, b.integer(), budget);
    if (a.IsIntegral() && repeats(b)) return Repeat(b, a.integer(), budget);
  }
  return Unfit(kSigns[static_cast<int>(operation)], a, b);
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (value.is_float()) return Value::Float(-value.number());
  if (value.IsIntegral()) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t{0}, value.integer(), &result)) return TooLarge();
    return Value::Integer(result);
  }
  if (value.is_undefined()) return absl::InvalidArgumentError(value.UndefinedMessage());
  return absl::InvalidArgumentError(absl::StrCat("'-' of ", value.TypeName()));
}

absl::StatusOr<bool> Compare(Comparison comparison, const Value& a, const Value& b,
                             Budget& budget) {
  switch (comparison) {
    case Comparison::kEqual:
      return Equal(a, b, budget);
    case Comparison::kNotEqual: {
      ASSIGN_OR_RETURN(const bool equal, Equal(a, b, budget));
      return !equal;
    }
    case Comparison::kIn:
      return Contains(a, b, budget);
    case Comparison::kNotIn: {
      ASSIGN_OR_RETURN(const bool contains, Contains(a, b, budget));
      return !contains;
    }
    default:
      break;
  }
  RETURN_IF_ERROR(budget.Bytes(8));
  if (a.IsIntegral() && b.IsIntegral()) return InOrder(comparison, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return InOrder(comparison, a.number(), b.number());
  if (a.is_text() && b.is_text()) {
    // UTF-8 sorts as its code points do.
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(a.text().size())));
    return InOrder(comparison, a.text(), b.text());
  }
  if (a.is_list() && b.is_list()) return ListLess(comparison, a, b, budget);
  return Unfit(kComparisons[static_cast<int>(comparison)], a, b);
}

}  // namespace expertmesh::jinja
