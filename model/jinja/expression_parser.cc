#include "model/jinja/expression_parser.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::jinja {
namespace {

using Kind = Token::Kind;
using Operation = Node::Operation;
using Comparison = Node::Comparison;

std::optional<Comparison> ComparisonOf(const Token& token) {
  static constexpr std::pair<absl::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
      {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
      {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};
  for (const auto& [text, comparison] : kComparisons) {
    if (token.Is(Kind::kOperator, text)) return comparison;
  }
  if (token.Is(Kind::kName, "in")) return Comparison::kIn;
  return std::nullopt;
}

}  // namespace

Token ExpressionParser::Take() {
  Token token = tokens_[at_];
  if (token.kind != Kind::kEnd) ++at_;
  return token;
}

bool ExpressionParser::Skip(Kind kind, absl::string_view text) {
  if (!current().Is(kind, text)) return false;
  ++at_;
  return true;
}

absl::Status ExpressionParser::Expect(Kind kind, absl::string_view text) {
  if (Skip(kind, text)) return absl::OkStatus();
  const absl::string_view what = kind == Kind::kBlockEnd               ? "%}"
                                 : kind == Kind::kVariableEnd          ? "}}"
                                 : kind == Kind::kName && text.empty() ? "a name"
                                                                       : text;
  return ErrorAt(current().position, absl::StrCat("expected ", what));
}

absl::Status ExpressionParser::Unexpected() const {
  const Token& token = current();
  absl::string_view what = token.text;
  if (token.kind == Kind::kEnd) what = "end of the template";
  if (token.kind == Kind::kBlockEnd) what = "%}";
  if (token.kind == Kind::kVariableEnd) what = "}}";
  if (token.kind == Kind::kString) what = "string";
  return ErrorAt(token.position, absl::StrCat("unexpected ", what));
}

absl::Status ExpressionParser::Level::status() const {
  if (parser_->level_ <= kTreeDepthMax) return absl::OkStatus();
  return ErrorAt(parser_->current().position,
                 absl::StrCat("nested deeper than ", kTreeDepthMax, " levels"));
}

absl::StatusOr<NodeId> ExpressionParser::Add(Node node) {
  int depth = 1;
  for (NodeId child : node.children) {
    if (child == kNoNode) continue;
    const Node& below = ast_.nodes[child];
    depth = std::max(depth, below.depth + 1);
    // Elsewhere they would have to carry on as marked-up text, as in jinja2: + would escape.
    const bool marks =
        below.kind == Node::Kind::kFilter && (below.id == static_cast<uint8_t>(Filter::kSafe) ||
                                              below.id == static_cast<uint8_t>(Filter::kEscape));
    if (marks && node.kind != Node::Kind::kOutput) {
      return ErrorAt(below.position,
                     "filters safe and escape are supported as the last of {{ }} alone");
    }
  }
  if (depth > kTreeDepthMax) {
    return ErrorAt(node.position, absl::StrCat("nested deeper than ", kTreeDepthMax, " levels"));
  }
  node.depth = static_cast<int16_t>(depth);
  ast_.nodes.push_back(std::move(node));
  return static_cast<NodeId>(ast_.nodes.size() - 1);
}

absl::StatusOr<NodeId> ExpressionParser::Constant(Value value, Position position) {
  return Add({.kind = Node::Kind::kConstant, .position = position, .value = std::move(value)});
}

absl::StatusOr<NodeId> ExpressionParser::Expression(bool with_conditional) {
  const Level level(this);
  RETURN_IF_ERROR(level.status());
  ASSIGN_OR_RETURN(NodeId value, Or());
  while (with_conditional && IsName("if")) {
    const Position position = Take().position;
    ASSIGN_OR_RETURN(const NodeId condition, Or());
    NodeId otherwise = kNoNode;
    if (Skip(Kind::kName, "else")) {
      ASSIGN_OR_RETURN(otherwise, Expression());
    }
    ASSIGN_OR_RETURN(value, Add({.kind = Node::Kind::kConditional,
                                 .position = position,
                                 .children = {condition, value, otherwise}}));
  }
  return value;
}

bool ExpressionParser::TupleEnds() const {
  const Kind kind = current().kind;
  return kind == Kind::kVariableEnd || kind == Kind::kBlockEnd || IsOperator(")");
}

absl::StatusOr<NodeId> ExpressionParser::Tuple(bool with_conditional) {
  const Position position = current().position;
  std::vector<NodeId> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) {
      if (!Skip(Kind::kOperator, ",")) break;
      is_tuple = true;
    }
    if (is_tuple && TupleEnds()) break;
    ASSIGN_OR_RETURN(const NodeId item, Expression(with_conditional));
    items.push_back(item);
  }
  if (!is_tuple) return items[0];
  return Add({.kind = Node::Kind::kTuple, .position = position, .children = std::move(items)});
}

absl::StatusOr<NodeId> ExpressionParser::Or() {
  ASSIGN_OR_RETURN(NodeId left, And());
  while (IsName("or")) {
    const Position position = Take().position;
    ASSIGN_OR_RETURN(const NodeId right, And());
    ASSIGN_OR_RETURN(
        left, Add({.kind = Node::Kind::kOr, .position = position, .children = {left, right}}));
  }
  return left;
}

absl::StatusOr<NodeId> ExpressionParser::And() {
  ASSIGN_OR_RETURN(NodeId left, Not());
  while (IsName("and")) {
    const Position position = Take().position;
    ASSIGN_OR_RETURN(const NodeId right, Not());
    ASSIGN_OR_RETURN(
        left, Add({.kind = Node::Kind::kAnd, .position = position, .children = {left, right}}));
  }
  return left;
}

absl::StatusOr<NodeId> ExpressionParser::Not() {
  if (!IsName("not")) return Compare();
  const Level level(this);
  RETURN_IF_ERROR(level.status());
  const Position position = Take().position;
  ASSIGN_OR_RETURN(const NodeId operand, Not());
  return Add({.kind = Node::Kind::kNot, .position = position, .children = {operand}});
}

absl::StatusOr<NodeId> ExpressionParser::Compare() {
  ASSIGN_OR_RETURN(const NodeId first, Sum());
  Node node{.kind = Node::Kind::kCompare, .position = current().position, .children = {first}};
  while (true) {
    std::optional<Comparison> comparison = ComparisonOf(current());
    if (!comparison && IsName("not") && tokens_[at_ + 1].Is(Kind::kName, "in")) {
      Take();
      comparison = Comparison::kNotIn;
    }
    if (!comparison) break;
    Take();
    ASSIGN_OR_RETURN(const NodeId operand, Sum());
    node.ids.push_back(static_cast<uint8_t>(*comparison));
    node.children.push_back(operand);
  }
  if (node.ids.empty()) return first;
  return Add(std::move(node));
}

absl::StatusOr<NodeId> ExpressionParser::Sum() {
  ASSIGN_OR_RETURN(NodeId left, Concat());
  while (IsOperator("+") || IsOperator("-")) {
    const Token token = Take();
    ASSIGN_OR_RETURN(const NodeId right, Concat());
    const auto operation = token.text == "+" ? Operation::kAdd : Operation::kSubtract;
    ASSIGN_OR_RETURN(left, Add({.kind = Node::Kind::kBinary,
                                .id = static_cast<uint8_t>(operation),
                                .position = token.position,
                                .children = {left, right}}));
  }
  return left;
}

absl::StatusOr<NodeId> ExpressionParser::Concat() {
  ASSIGN_OR_RETURN(const NodeId first, Product());
  if (!IsOperator("~")) return first;
  Node node{.kind = Node::Kind::kConcat, .position = current().position, .children = {first}};
  while (Skip(Kind::kOperator, "~")) {
    ASSIGN_OR_RETURN(const NodeId operand, Product());
    node.children.push_back(operand);
  }
  return Add(std::move(node));
}

absl::StatusOr<NodeId> ExpressionParser::Product() {
  static constexpr std::pair<absl::string_view, Operation> kOperations[] = {
      {"*", Operation::kMultiply},
      {"/", Operation::kDivide},
      {"//", Operation::kFloorDivide},
      {"%", Operation::kModulo}};
  ASSIGN_OR_RETURN(NodeId left, Unary());
  while (true) {
    if (IsOperator("**")) return ErrorAt(current().position, "unsupported operator **");
    const auto found = std::find_if(std::begin(kOperations), std::end(kOperations),
                                    [this](const auto& each) { return IsOperator(each.first); });
    if (found == std::end(kOperations)) return left;
    const Position position = Take().position;
    ASSIGN_OR_RETURN(const NodeId right, Unary());
    ASSIGN_OR_RETURN(left, Add({.kind = Node::Kind::kBinary,
                                .id = static_cast<uint8_t>(found->second),
                                .position = position,
                                .children = {left, right}}));
  }
}

absl::StatusOr<NodeId> ExpressionParser::Unary(bool with_filters) {
  const Level level(this);
  RETURN_IF_ERROR(level.status());
  NodeId operand;
  if (IsOperator("-") || IsOperator("+")) {
    const Token token = Take();
    ASSIGN_OR_RETURN(const NodeId inner, Unary(/*with_filters=*/false));
    ASSIGN_OR_RETURN(operand,
                     Add({.kind = token.text == "-" ? Node::Kind::kNegate : Node::Kind::kPlus,
                          .position = token.position,
                          .children = {inner}}));
  } else {
    ASSIGN_OR_RETURN(operand, Primary());
  }
  ASSIGN_OR_RETURN(operand, Postfix(operand));
  return with_filters ? Filters(operand) : operand;
}

absl::StatusOr<NodeId> ExpressionParser::Primary() {
  const Position position = current().position;
  switch (current().kind) {
    case Kind::kName:
      return NameOrConstant();
    case Kind::kInteger:
    case Kind::kFloat:
      return Number();
    case Kind::kString: {
      std::string text;
      while (current().kind == Kind::kString) text += Take().text;
      return Constant(Value::Text(std::move(text)), position);
    }
    default:
      break;
  }
  if (IsOperator("[")) return ListLiteral();
  if (IsOperator("{")) return DictLiteral();
  if (!Skip(Kind::kOperator, "(")) return Unexpected();
  if (Skip(Kind::kOperator, ")")) {
    return Constant(Value::ListOf({}, Value::ListForm::kTuple), position);
  }
  ASSIGN_OR_RETURN(const NodeId inner, Tuple());
  RETURN_IF_ERROR(Expect(Kind::kOperator, ")"));
  return inner;
}

absl::StatusOr<NodeId> ExpressionParser::Number() {
  const Token token = Take();
  if (token.kind == Kind::kInteger) {
    int64_t integer = 0;
    if (absl::SimpleAtoi(token.text, &integer)) {
      return Constant(Value::Integer(integer), token.position);
    }
  } else {
    double number = 0;
    if (absl::SimpleAtod(token.text, &number)) {
      return Constant(Value::Float(number), token.position);
    }
  }
  return ErrorAt(token.position, "a number that is too large");
}

absl::StatusOr<NodeId> ExpressionParser::NameOrConstant() {
  const Token token = Take();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return Constant(Value::Bool(true), token.position);
  if (name == "false" || name == "False") return Constant(Value::Bool(false), token.position);
  if (name == "none" || name == "None") return Constant(Value::None(), token.position);
  if (name == "loop" && (loops > 0 || in_loop_filter)) return Loop(token.position);
  const bool is_call = IsOperator("(");
  if (is_call && FindFunction(name) == nullptr) {
    return ErrorAt(token.position, absl::StrCat("unsupported function '", name, "'"));
  }
  if (!is_call && IsFunctionName(name) && !assigned_.contains(name)) {
    return ErrorAt(token.position, absl::StrCat("unsupported: function '", name, "' as a value"));
  }
  return Add({.kind = Node::Kind::kName, .position = token.position, .names = {name}});
}

// loop.index or loop['index'].
absl::StatusOr<NodeId> ExpressionParser::Loop(Position position) {
  if (in_loop_filter) return ErrorAt(position, "unsupported: 'loop' in the filter of a for");
  Token name{Kind::kEnd, "", position};
  if (Skip(Kind::kOperator, ".")) {
    name = Take();
  } else if (Skip(Kind::kOperator, "[")) {
    name = Take();
    RETURN_IF_ERROR(Expect(Kind::kOperator, "]"));
  } else {
    return ErrorAt(position, "unsupported: 'loop' as a value");
  }
  const LoopAttribute attribute = FindLoopAttribute(name.text);
  if (attribute == LoopAttribute::kNone || IsOperator("(")) {
    return ErrorAt(position, absl::StrCat("unsupported: 'loop.", absl::CHexEscape(name.text), "'"));
  }
  return Add(
      {.kind = Node::Kind::kLoop, .id = static_cast<uint8_t>(attribute), .position = position});
}

absl::StatusOr<NodeId> ExpressionParser::ListLiteral() {
  Node node{.kind = Node::Kind::kList, .position = Take().position};
  while (!IsOperator("]")) {
    if (!node.children.empty()) RETURN_IF_ERROR(Expect(Kind::kOperator, ","));
    if (IsOperator("]")) break;
    ASSIGN_OR_RETURN(const NodeId item, Expression());
    node.children.push_back(item);
  }
  Take();
  return Add(std::move(node));
}

absl::StatusOr<NodeId> ExpressionParser::DictLiteral() {
  Node node{.kind = Node::Kind::kDict, .position = Take().position};
  while (!IsOperator("}")) {
    if (!node.children.empty()) RETURN_IF_ERROR(Expect(Kind::kOperator, ","));
    if (IsOperator("}")) break;
    ASSIGN_OR_RETURN(const NodeId key, Expression());
    RETURN_IF_ERROR(Expect(Kind::kOperator, ":"));
    ASSIGN_OR_RETURN(const NodeId value, Expression());
    node.children.insert(node.children.end(), {key, value});
  }
  Take();
  return Add(std::move(node));
}

}  // namespace expertmesh::jinja
