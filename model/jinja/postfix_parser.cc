// What may follow an operand: attributes, items, slices, calls, filters and tests.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/expression_parser.h"

namespace expertmesh::jinja {

using Kind = Token::Kind;

absl::StatusOr<NodeId> ExpressionParser::Postfix(NodeId subject) {
  while (true) {
    if (IsOperator(".")) {
      ASSIGN_OR_RETURN(subject, Attribute(subject));
    } else if (IsOperator("[")) {
      ASSIGN_OR_RETURN(subject, Item(subject));
    } else if (IsOperator("(")) {
      ASSIGN_OR_RETURN(subject, FunctionCall(subject));
    } else {
      return subject;
    }
  }
}

// subject.name, subject.0 or subject.method(...).
absl::StatusOr<NodeId> ExpressionParser::Attribute(NodeId subject) {
  const Position position = Take().position;
  const Token name = Take();
  if (name.kind == Kind::kInteger) {
    int64_t index = 0;
    if (!absl::SimpleAtoi(name.text, &index)) return ErrorAt(name.position, "index too large");
    ASSIGN_OR_RETURN(const NodeId constant, Constant(Value::Integer(index), name.position));
    return Add({.kind = Node::Kind::kItem, .position = position, .children = {subject, constant}});
  }
  if (name.kind != Kind::kName) return ErrorAt(name.position, "expected a name or a number");
  if (absl::StartsWith(name.text, "__")) {
    return ErrorAt(name.position, absl::StrCat("unsupported attribute '", name.text, "'"));
  }
  if (!IsOperator("(")) {
    return Add({.kind = Node::Kind::kAttribute,
                .position = name.position,
                .children = {subject},
                .names = {name.text}});
  }
  const Signature* signature = FindMethod(name.text);
  if (signature == nullptr) {
    return ErrorAt(name.position, absl::StrCat("unsupported method '", name.text, "'"));
  }
  ASSIGN_OR_RETURN(const Arguments arguments, CallArguments());
  return Call({.kind = Node::Kind::kMethod,
               .id = signature->id,
               .position = name.position,
               .children = {subject}},
              absl::StrCat("method '", name.text, "'"), *signature, arguments);
}

absl::StatusOr<NodeId> ExpressionParser::Item(NodeId subject) {
  const Position position = Take().position;
  NodeId index = kNoNode;
  if (!IsOperator(":")) {
    ASSIGN_OR_RETURN(index, Expression());
  }
  if (IsOperator(":")) return Slice(subject, index, position);
  RETURN_IF_ERROR(Expect(Kind::kOperator, "]"));
  return Add({.kind = Node::Kind::kItem, .position = position, .children = {subject, index}});
}

absl::StatusOr<NodeId> ExpressionParser::Slice(NodeId subject, NodeId first, Position position) {
  Node node{.kind = Node::Kind::kSlice, .position = position, .children = {subject, first}};
  for (int part = 0; part < 2; ++part) {
    NodeId bound = kNoNode;
    if (Skip(Kind::kOperator, ":") && !IsOperator(":") && !IsOperator("]")) {
      ASSIGN_OR_RETURN(bound, Expression());
    }
    node.children.push_back(bound);
  }
  RETURN_IF_ERROR(Expect(Kind::kOperator, "]"));
  return Add(std::move(node));
}

absl::StatusOr<NodeId> ExpressionParser::Filters(NodeId subject) {
  while (true) {
    if (Skip(Kind::kOperator, "|")) {
      ASSIGN_OR_RETURN(subject, FilterCall(subject));
    } else if (Skip(Kind::kName, "is")) {
      ASSIGN_OR_RETURN(subject, TestCall(subject));
    } else if (IsOperator("(")) {
      return ErrorAt(current().position, "unsupported: a call of a value");
    } else {
      return subject;
    }
  }
}

absl::StatusOr<NodeId> ExpressionParser::FilterCall(NodeId subject) {
  const Token name = Take();
  if (name.kind != Kind::kName) return ErrorAt(name.position, "expected the name of a filter");
  const Signature* signature = FindFilter(name.text);
  if (signature == nullptr) {
    return ErrorAt(name.position, absl::StrCat("unsupported filter '", name.text, "'"));
  }
  Arguments arguments;
  if (IsOperator("(")) {
    ASSIGN_OR_RETURN(arguments, CallArguments());
  }
  return Call({.kind = Node::Kind::kFilter,
               .id = signature->id,
               .position = name.position,
               .children = {subject}},
              absl::StrCat("filter '", name.text, "'"), *signature, arguments);
}

// subject is [not] name, name(argument) or name argument.
absl::StatusOr<NodeId> ExpressionParser::TestCall(NodeId subject) {
  const bool negated = Skip(Kind::kName, "not");
  const Token name = Take();
  const Signature* signature = name.kind == Kind::kName ? FindTest(name.text) : nullptr;
  if (signature == nullptr) {
    return ErrorAt(name.position, absl::StrCat("unsupported test '", name.text, "'"));
  }
  const auto argument_follows = [this] {
    const Token& token = current();
    if (token.kind == Kind::kName) {
      return token.text != "else" && token.text != "or" && token.text != "and";
    }
    return token.kind == Kind::kString || token.kind == Kind::kInteger ||
           token.kind == Kind::kFloat || IsOperator("[") || IsOperator("{");
  };
  Arguments arguments;
  if (IsOperator("(")) {
    ASSIGN_OR_RETURN(arguments, CallArguments());
  } else if (argument_follows()) {
    if (IsName("is")) return ErrorAt(current().position, "tests cannot be chained");
    ASSIGN_OR_RETURN(const NodeId primary, Primary());
    ASSIGN_OR_RETURN(const NodeId argument, Postfix(primary));
    arguments.positional.push_back(argument);
  }
  ASSIGN_OR_RETURN(const NodeId test,
                   Call({.kind = Node::Kind::kTest,
                         .id = signature->id,
                         .position = name.position,
                         .children = {subject}},
                        absl::StrCat("test '", name.text, "'"), *signature, arguments));
  if (!negated) return test;
  return Add({.kind = Node::Kind::kNot, .position = name.position, .children = {test}});
}

absl::StatusOr<NodeId> ExpressionParser::FunctionCall(NodeId name) {
  const Node callee = node(name);
  if (callee.kind != Node::Kind::kName) {
    return ErrorAt(current().position, "unsupported: a call of a value");
  }
  const Signature* signature = FindFunction(callee.names[0]);
  if (signature == nullptr) return ErrorAt(callee.position, "unsupported: a call of a value");
  ASSIGN_OR_RETURN(Arguments arguments, CallArguments());
  Node call{.kind = Node::Kind::kFunction, .id = signature->id, .position = callee.position};
  std::vector<NodeId> named;
  const auto function = static_cast<Function>(signature->id);
  if (function == Function::kNamespace || function == Function::kDict) {
    for (const auto& [key, value] : arguments.named) {
      if (function == Function::kNamespace && absl::StartsWith(key, "_")) {
        return ErrorAt(callee.position,
                       absl::StrCat("attribute '", key, "' of a namespace begins with _"));
      }
      call.names.push_back(key);
      named.push_back(value);
    }
    arguments.named.clear();
  }
  ASSIGN_OR_RETURN(const NodeId id,
                   Call(std::move(call), absl::StrCat("function '", callee.names[0], "'"),
                        *signature, arguments));
  // The parameters come first, then the values of names: added again for the depth's sake.
  Node whole = std::move(node(id));
  whole.children.insert(whole.children.end(), named.begin(), named.end());
  return Add(std::move(whole));
}

absl::StatusOr<ExpressionParser::Arguments> ExpressionParser::CallArguments() {
  RETURN_IF_ERROR(Expect(Kind::kOperator, "("));
  Arguments arguments;
  bool first = true;
  while (!IsOperator(")")) {
    if (!first) RETURN_IF_ERROR(Expect(Kind::kOperator, ","));
    if (IsOperator(")")) break;
    first = false;
    if (IsOperator("*") || IsOperator("**")) {
      return ErrorAt(current().position, "unsupported: * and ** of arguments");
    }
    if (current().kind == Kind::kName && tokens_[at_ + 1].Is(Kind::kOperator, "=")) {
      std::string name = Take().text;
      Take();
      ASSIGN_OR_RETURN(const NodeId value, Expression());
      arguments.named.emplace_back(std::move(name), value);
      continue;
    }
    if (!arguments.named.empty()) {
      return ErrorAt(current().position, "an argument without a name after one with a name");
    }
    ASSIGN_OR_RETURN(const NodeId value, Expression());
    arguments.positional.push_back(value);
  }
  Take();
  return arguments;
}

absl::StatusOr<NodeId> ExpressionParser::Call(Node node, absl::string_view what,
                                              const Signature& signature,
                                              const Arguments& arguments) {
  const auto& parameters = signature.parameters;
  const size_t count = std::find(parameters.begin(), parameters.end(), "") - parameters.begin();
  if (arguments.positional.size() > count) {
    return ErrorAt(node.position, absl::StrCat(what, " takes at most ", count, " arguments"));
  }
  std::vector<NodeId> bound(count, kNoNode);
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const auto& [name, value] : arguments.named) {
    const size_t which =
        std::find(parameters.begin(), parameters.begin() + count, name) - parameters.begin();
    if (which == count || bound[which] != kNoNode) {
      return ErrorAt(node.position,
                     absl::StrCat("argument '", name, "' of ", what,
                                  which == count ? " is not supported" : " is given twice"));
    }
    bound[which] = value;
  }
  for (size_t i = 0; i < signature.required; ++i) {
    if (bound[i] == kNoNode) {
      return ErrorAt(node.position,
                     absl::StrCat(what, " lacks its argument '", parameters[i], "'"));
    }
  }
  node.children.insert(node.children.end(), bound.begin(), bound.end());
  return Add(std::move(node));
}

}  // namespace expertmesh::jinja
