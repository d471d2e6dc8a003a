#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/builtins.h"
#include "model/jinja/evaluator.h"
#include "model/jinja/operators.h"

namespace expertmesh::jinja {
namespace {

// Errors keep the position of the innermost node that has one.
bool HasPosition(const absl::Status& status) { return absl::StartsWith(status.message(), "line "); }

}  // namespace

absl::StatusOr<Value> Evaluator::Eval(NodeId id) {
  const Node& node = ast_.nodes[id];
  RETURN_IF_ERROR(budget_.Steps(1));
  absl::StatusOr<Value> value = EvalKind(node);
  if (value.ok() || raised_ || HasPosition(value.status())) return value;
  return Annotate(value.status(),
                  absl::StrCat("line ", node.position.line, ", column ", node.position.column));
}

absl::StatusOr<Value> Evaluator::EvalOrUndefined(NodeId id) {
  if (id == kNoNode) return Value();
  return Eval(id);
}

absl::StatusOr<Value> Evaluator::EvalKind(const Node& node) {
  const std::vector<NodeId>& parts = node.children;
  using Kind = Node::Kind;
  switch (node.kind) {
    case Kind::kConstant:
      return node.value;
    case Kind::kName:
      return EvalName(node);
    case Kind::kLoop:
      return EvalLoop(node);
    case Kind::kList:
    case Kind::kTuple: {
      ASSIGN_OR_RETURN(std::vector<Value> items, EvalAll(node, 0));
      return MakeList(std::move(items),
                      node.kind == Kind::kList ? Value::ListForm::kList : Value::ListForm::kTuple,
                      budget_);
    }
    case Kind::kDict:
      return EvalDict(node);
    case Kind::kAttribute: {
      ASSIGN_OR_RETURN(const Value value, Eval(parts[0]));
      return GetAttribute(value, node.names[0], budget_);
    }
    case Kind::kItem:
      return EvalItem(node);
    case Kind::kSlice:
      return EvalSlice(node);
    case Kind::kNegate: {
      ASSIGN_OR_RETURN(const Value value, Eval(parts[0]));
      return Negate(value);
    }
    case Kind::kPlus: {
      ASSIGN_OR_RETURN(const Value value, Eval(parts[0]));
      return Apply(Node::Operation::kAdd, Value::Integer(0), value, budget_);
    }
    case Kind::kBinary: {
      ASSIGN_OR_RETURN(const Value a, Eval(parts[0]));
      ASSIGN_OR_RETURN(const Value b, Eval(parts[1]));
      return Apply(static_cast<Node::Operation>(node.id), a, b, budget_);
    }
    case Kind::kConcat:
      return EvalConcat(node);
    case Kind::kCompare:
      return EvalCompare(node);
    case Kind::kNot: {
      ASSIGN_OR_RETURN(const Value value, Eval(parts[0]));
      return Value::Bool(!value.Truthy());
    }
    case Kind::kAnd:
    case Kind::kOr: {
      ASSIGN_OR_RETURN(Value left, Eval(parts[0]));
      if (left.Truthy() == (node.kind == Kind::kOr)) return left;
      return Eval(parts[1]);
    }
    case Kind::kConditional: {
      ASSIGN_OR_RETURN(const Value condition, Eval(parts[0]));
      return EvalOrUndefined(condition.Truthy() ? parts[1] : parts[2]);
    }
    default:
      return EvalCall(node);
  }
}

absl::StatusOr<std::vector<Value>> Evaluator::EvalAll(const Node& node, size_t first) {
  std::vector<Value> values;
  values.reserve(node.children.size());
  for (size_t i = first; i < node.children.size(); ++i) {
    ASSIGN_OR_RETURN(Value value, EvalOrUndefined(node.children[i]));
    values.push_back(std::move(value));
  }
  return values;
}

// The innermost scope that has the name, then what the caller gave.
absl::StatusOr<Value> Evaluator::EvalName(const Node& node) {
  const std::string& name = node.names[0];
  RETURN_IF_ERROR(budget_.Steps(static_cast<int64_t>(scopes_.size()) / 4));
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) return found->second;
  }
  const Value* found = variables_.Find(name);
  return found == nullptr ? Value::Undefined(name) : *found;
}

absl::StatusOr<Value> Evaluator::EvalLoop(const Node& node) {
  Loop& loop = loops_.back();
  const auto index = static_cast<int64_t>(loop.index);
  const auto attribute = static_cast<LoopAttribute>(node.id);
  bool more = true;
  // How far to look ahead: not at all, by one element, or to the end.
  if (attribute == LoopAttribute::kLast || attribute == LoopAttribute::kNextItem) {
    if (loop.elements.size() <= loop.index + 1) {
      ASSIGN_OR_RETURN(more, Pull(loop));
    }
  } else if (attribute == LoopAttribute::kLength || attribute == LoopAttribute::kRevIndex ||
             attribute == LoopAttribute::kRevIndex0) {
    while (more) {
      ASSIGN_OR_RETURN(more, Pull(loop));
    }
  }
  const auto length = static_cast<int64_t>(loop.elements.size());
  switch (attribute) {
    case LoopAttribute::kIndex:
      return Value::Integer(index + 1);
    case LoopAttribute::kIndex0:
      return Value::Integer(index);
    case LoopAttribute::kRevIndex:
      return Value::Integer(length - index);
    case LoopAttribute::kRevIndex0:
      return Value::Integer(length - index - 1);
    case LoopAttribute::kFirst:
      return Value::Bool(index == 0);
    case LoopAttribute::kLast:
      return Value::Bool(!more);
    case LoopAttribute::kLength:
      return Value::Integer(length);
    case LoopAttribute::kPrevItem:
      return index == 0 ? Value::Undefined("loop.previtem") : loop.elements[index - 1];
    default:
      return more ? loop.elements[index + 1] : Value::Undefined("loop.nextitem");
  }
}

namespace {

// Sets a key, as Python does: the last value of a key stays, at the place of its first.
absl::Status Insert(Value::Pairs* items, Value key, Value value, Budget& budget) {
  if (!key.is_key()) {
    return absl::InvalidArgumentError(absl::StrCat("a ", key.TypeName(), " cannot be a key"));
  }
  for (auto& [each, old] : *items) {
    ASSIGN_OR_RETURN(const bool equal, Equal(each, key, budget));
    if (!equal) continue;
    old = std::move(value);
    return absl::OkStatus();
  }
  items->emplace_back(std::move(key), std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Value> MakeDict(Value::Pairs items, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(items.size() * 2 * sizeof(Value))));
  Value dict = Value::DictOf(std::move(items));
  if (dict.depth() <= kValueDepthMax) return dict;
  return absl::ResourceExhaustedError(
      absl::StrCat("dicts within dicts, more than ", kValueDepthMax, " levels"));
}

}  // namespace

absl::StatusOr<Value> Evaluator::EvalDict(const Node& node) {
  Value::Pairs items;
  ASSIGN_OR_RETURN(std::vector<Value> values, EvalAll(node, 0));
  for (size_t i = 0; i < values.size(); i += 2) {
    RETURN_IF_ERROR(Insert(&items, std::move(values[i]), std::move(values[i + 1]), budget_));
  }
  return MakeDict(std::move(items), budget_);
}

absl::StatusOr<Value> Evaluator::EvalItem(const Node& node) {
  ASSIGN_OR_RETURN(const Value value, Eval(node.children[0]));
  ASSIGN_OR_RETURN(const Value index, Eval(node.children[1]));
  return GetItem(value, index, budget_);
}

absl::StatusOr<Value> Evaluator::EvalSlice(const Node& node) {
  const std::vector<NodeId>& parts = node.children;
  ASSIGN_OR_RETURN(const Value value, Eval(parts[0]));
  SliceBounds bounds;
  Value* const targets[] = {&bounds.first, &bounds.last, &bounds.step};
  for (size_t i = 0; i < 3; ++i) {
    if (parts[i + 1] == kNoNode) continue;
    ASSIGN_OR_RETURN(*targets[i], Eval(parts[i + 1]));
  }
  return GetSlice(value, bounds, budget_);
}

absl::StatusOr<Value> Evaluator::EvalConcat(const Node& node) {
  std::string out;
  for (NodeId operand : node.children) {
    ASSIGN_OR_RETURN(const Value value, Eval(operand));
    ASSIGN_OR_RETURN(const std::string text, ToText(value, budget_));
    absl::StrAppend(&out, text);
  }
  return MakeText(std::move(out), budget_);
}

// a < b < c is a < b and b < c.
absl::StatusOr<Value> Evaluator::EvalCompare(const Node& node) {
  ASSIGN_OR_RETURN(Value left, Eval(node.children[0]));
  for (size_t i = 0; i < node.ids.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Eval(node.children[i + 1]));
    ASSIGN_OR_RETURN(const bool holds,
                     Compare(static_cast<Node::Comparison>(node.ids[i]), left, right, budget_));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

absl::StatusOr<Value> Evaluator::EvalCall(const Node& node) {
  if (node.kind == Node::Kind::kFunction) return EvalFunction(node);
  ASSIGN_OR_RETURN(const Value subject, Eval(node.children[0]));
  ASSIGN_OR_RETURN(const std::vector<Value> values, EvalAll(node, 1));
  std::vector<const Value*> arguments;
  for (size_t i = 0; i < values.size(); ++i) {
    arguments.push_back(node.children[i + 1] == kNoNode ? nullptr : &values[i]);
  }
  if (node.kind == Node::Kind::kFilter) {
    return CallFilter(static_cast<Filter>(node.id), subject, arguments, budget_);
  }
  if (node.kind == Node::Kind::kMethod) {
    return CallMethod(static_cast<Method>(node.id), subject, arguments, budget_);
  }
  ASSIGN_OR_RETURN(const bool holds,
                   CallTest(static_cast<Test>(node.id), subject, arguments, budget_));
  return Value::Bool(holds);
}

// What namespace(...) and dict(...) are given: a dict, and values by name.
absl::StatusOr<Value::Pairs> Evaluator::Mapping(const Node& node) {
  Value::Pairs items;
  ASSIGN_OR_RETURN(const std::vector<Value> values, EvalAll(node, 0));
  if (node.children[0] != kNoNode) {
    if (!values[0].is_dict()) {
      return absl::InvalidArgumentError(
          absl::StrCat("found ", values[0].TypeName(), ", expected a dict"));
    }
    items = values[0].dict().items;
  }
  for (size_t i = 0; i < node.names.size(); ++i) {
    RETURN_IF_ERROR(Insert(&items, Value::Text(node.names[i]), values[i + 1], budget_));
  }
  return items;
}

absl::StatusOr<Value> Evaluator::EvalFunction(const Node& node) {
  switch (static_cast<Function>(node.id)) {
    case Function::kDict: {
      ASSIGN_OR_RETURN(Value::Pairs items, Mapping(node));
      return MakeDict(std::move(items), budget_);
    }
    case Function::kNamespace: {
      ASSIGN_OR_RETURN(Value::Pairs items, Mapping(node));
      RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(items.size() * 64) + 64));
      auto space = std::make_unique<Namespace>();
      for (auto& [key, value] : items) {
        if (!key.is_text() || absl::StartsWith(key.text(), "_")) {
          return absl::InvalidArgumentError("a namespace's attribute is no name, or begins with _");
        }
        space->attributes.emplace_back(std::string(key.text()), std::move(value));
      }
      namespaces_.push_back(std::move(space));
      return Value::Of(namespaces_.back().get());
    }
    case Function::kRange: {
      ASSIGN_OR_RETURN(const std::vector<Value> values, EvalAll(node, 0));
      std::vector<const Value*> arguments;
      for (size_t i = 0; i < values.size(); ++i) {
        arguments.push_back(node.children[i] == kNoNode ? nullptr : &values[i]);
      }
      return Range(arguments, budget_);
    }
    case Function::kRaiseException:
      break;
  }
  ASSIGN_OR_RETURN(const Value message, Eval(node.children[0]));
  ASSIGN_OR_RETURN(const std::string text, ToText(message, budget_));
  raised_ = true;
  return absl::InvalidArgumentError(text);
}

}  // namespace expertmesh::jinja
