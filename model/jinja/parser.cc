#include "model/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"
#include "model/jinja/expression_parser.h"

namespace expertmesh::jinja {
namespace {

using Kind = Token::Kind;
using Ends = std::initializer_list<absl::string_view>;

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens) : code_(std::move(tokens)) {}

  absl::StatusOr<Ast> Run() {
    ASSIGN_OR_RETURN(code_.ast().root, Body({}));
    return std::move(code_.ast());
  }

 private:
  // Statements up to a tag that begins with one of `ends`; that name is then the current token.
  absl::StatusOr<NodeId> Body(Ends ends);
  absl::StatusOr<NodeId> BodyAfterTag(Ends ends);
  absl::Status EndTag(absl::string_view name);
  absl::StatusOr<NodeId> Output();
  absl::StatusOr<NodeId> Statement();
  absl::StatusOr<NodeId> If(Position position);
  absl::StatusOr<NodeId> For(Position position);
  absl::StatusOr<NodeId> Set(Position position);
  absl::StatusOr<NodeId> SetAttribute(const Token& space);
  absl::StatusOr<NodeId> LoopControl(const Token& tag);
  absl::StatusOr<std::vector<std::string>> Targets();

  ExpressionParser code_;
};

absl::StatusOr<NodeId> StatementParser::Body(Ends ends) {
  const ExpressionParser::Level level(&code_);
  RETURN_IF_ERROR(level.status());
  Node body{.kind = Node::Kind::kBody, .position = code_.current().position};
  while (true) {
    const Token token = code_.Take();
    absl::StatusOr<NodeId> id;
    if (token.kind == Kind::kEnd) {
      if (ends.size() == 0) return code_.Add(std::move(body));
      return ErrorAt(token.position,
                     absl::StrCat("the template ends before ", absl::StrJoin(ends, " or ")));
    }
    if (token.kind == Kind::kData) {
      id = code_.Add({.kind = Node::Kind::kText,
                      .position = token.position,
                      .value = Value::Text(token.text)});
    } else if (token.kind == Kind::kVariableBegin) {
      id = Output();
    } else {
      const bool ends_here = std::any_of(
          ends.begin(), ends.end(), [this](absl::string_view end) { return code_.IsName(end); });
      if (ends_here) return code_.Add(std::move(body));
      id = Statement();
    }
    RETURN_IF_ERROR(id.status());
    body.children.push_back(*id);
  }
}

absl::StatusOr<NodeId> StatementParser::BodyAfterTag(Ends ends) {
  RETURN_IF_ERROR(code_.Expect(Kind::kBlockEnd, ""));
  return Body(ends);
}

absl::Status StatementParser::EndTag(absl::string_view name) {
  RETURN_IF_ERROR(code_.Expect(Kind::kName, name));
  return code_.Expect(Kind::kBlockEnd, "");
}

absl::StatusOr<NodeId> StatementParser::Output() {
  const Position position = code_.current().position;
  ASSIGN_OR_RETURN(const NodeId value, code_.Tuple());
  RETURN_IF_ERROR(code_.Expect(Kind::kVariableEnd, ""));
  return code_.Add({.kind = Node::Kind::kOutput, .position = position, .children = {value}});
}

absl::StatusOr<NodeId> StatementParser::Statement() {
  const Token tag = code_.Take();
  if (tag.kind != Kind::kName) return ErrorAt(tag.position, "expected the name of a statement");
  if (tag.text == "if") return If(tag.position);
  if (tag.text == "for") return For(tag.position);
  if (tag.text == "set") return Set(tag.position);
  if (tag.text == "break" || tag.text == "continue") return LoopControl(tag);
  if (tag.text == "generation") {  // marks what a model said, for training; renders as it stands
    ASSIGN_OR_RETURN(const NodeId body, BodyAfterTag({"endgeneration"}));
    RETURN_IF_ERROR(EndTag("endgeneration"));
    return code_.Add({.kind = Node::Kind::kScope, .position = tag.position, .children = {body}});
  }
  return ErrorAt(tag.position, absl::StrCat("unsupported statement '", tag.text, "'"));
}

absl::StatusOr<NodeId> StatementParser::If(Position position) {
  Node node{.kind = Node::Kind::kIf, .position = position};
  while (true) {
    ASSIGN_OR_RETURN(const NodeId condition, code_.Tuple(/*with_conditional=*/false));
    ASSIGN_OR_RETURN(const NodeId then, BodyAfterTag({"elif", "else", "endif"}));
    node.children.insert(node.children.end(), {condition, then});
    if (!code_.Skip(Kind::kName, "elif")) break;
  }
  if (code_.Skip(Kind::kName, "else")) {
    ASSIGN_OR_RETURN(const NodeId otherwise, BodyAfterTag({"endif"}));
    node.children.push_back(otherwise);
  }
  RETURN_IF_ERROR(EndTag("endif"));
  return code_.Add(std::move(node));
}

absl::StatusOr<std::vector<std::string>> StatementParser::Targets() {
  std::vector<std::string> names;
  const bool parentheses = code_.Skip(Kind::kOperator, "(");
  do {
    const Token name = code_.Take();
    if (name.kind != Kind::kName) return ErrorAt(name.position, "expected a name to assign to");
    static constexpr absl::string_view kFixed[] = {"true", "True", "false", "False",
                                                   "none", "None", "loop"};
    if (std::find(std::begin(kFixed), std::end(kFixed), name.text) != std::end(kFixed)) {
      return ErrorAt(name.position, absl::StrCat("'", name.text, "' cannot be assigned to"));
    }
    names.push_back(name.text);
  } while (code_.Skip(Kind::kOperator, ","));
  if (parentheses) RETURN_IF_ERROR(code_.Expect(Kind::kOperator, ")"));
  for (const std::string& name : names) code_.NoteAssigned(name);
  return names;
}

absl::StatusOr<NodeId> StatementParser::For(Position position) {
  Node node{.kind = Node::Kind::kFor, .position = position};
  ASSIGN_OR_RETURN(node.names, Targets());
  RETURN_IF_ERROR(code_.Expect(Kind::kName, "in"));
  ASSIGN_OR_RETURN(const NodeId sequence, code_.Tuple(/*with_conditional=*/false));
  NodeId filter = kNoNode;
  if (code_.Skip(Kind::kName, "if")) {
    code_.in_loop_filter = true;
    ASSIGN_OR_RETURN(filter, code_.Expression());
    code_.in_loop_filter = false;
  }
  if (code_.IsName("recursive")) {
    return ErrorAt(code_.current().position, "unsupported: a recursive for");
  }
  ++code_.loops;
  ASSIGN_OR_RETURN(const NodeId body, BodyAfterTag({"else", "endfor"}));
  --code_.loops;
  NodeId otherwise = kNoNode;
  if (code_.Skip(Kind::kName, "else")) {
    ASSIGN_OR_RETURN(otherwise, BodyAfterTag({"endfor"}));
  }
  RETURN_IF_ERROR(EndTag("endfor"));
  node.children = {sequence, filter, body, otherwise};
  return code_.Add(std::move(node));
}

absl::StatusOr<NodeId> StatementParser::LoopControl(const Token& tag) {
  if (code_.loops == 0) {
    return ErrorAt(tag.position, absl::StrCat("'", tag.text, "' outside a for"));
  }
  RETURN_IF_ERROR(code_.Expect(Kind::kBlockEnd, ""));
  return code_.Add({.kind = tag.text == "break" ? Node::Kind::kBreak : Node::Kind::kContinue,
                    .position = tag.position});
}

absl::StatusOr<NodeId> StatementParser::Set(Position position) {
  const Token first = code_.current();
  ASSIGN_OR_RETURN(std::vector<std::string> names, Targets());
  if (code_.Skip(Kind::kOperator, ".")) {
    if (names.size() > 1) return ErrorAt(first.position, "unsupported: attributes in a tuple");
    return SetAttribute(first);
  }
  Node node{.kind = Node::Kind::kSet, .position = position, .names = std::move(names)};
  if (code_.Skip(Kind::kOperator, "=")) {
    ASSIGN_OR_RETURN(const NodeId value, code_.Tuple());
    RETURN_IF_ERROR(code_.Expect(Kind::kBlockEnd, ""));
    node.children = {value};
    return code_.Add(std::move(node));
  }
  if (code_.IsOperator("|") || node.names.size() > 1) return code_.Unexpected();
  node.kind = Node::Kind::kSetBlock;
  ASSIGN_OR_RETURN(const NodeId body, BodyAfterTag({"endset"}));
  RETURN_IF_ERROR(EndTag("endset"));
  node.children = {body};
  return code_.Add(std::move(node));
}

// The current token is the attribute's name.
absl::StatusOr<NodeId> StatementParser::SetAttribute(const Token& space) {
  const Token attribute = code_.Take();
  if (attribute.kind != Kind::kName || absl::StartsWith(attribute.text, "_")) {
    return ErrorAt(attribute.position,
                   "expected the name of a namespace's attribute, not beginning with _");
  }
  RETURN_IF_ERROR(code_.Expect(Kind::kOperator, "="));
  ASSIGN_OR_RETURN(const NodeId value, code_.Tuple());
  RETURN_IF_ERROR(code_.Expect(Kind::kBlockEnd, ""));
  return code_.Add({.kind = Node::Kind::kSetAttribute,
                    .position = space.position,
                    .children = {value},
                    .names = {space.text, attribute.text}});
}

}  // namespace

absl::StatusOr<Ast> Parse(absl::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return StatementParser(std::move(tokens)).Run();
}

}  // namespace expertmesh::jinja
