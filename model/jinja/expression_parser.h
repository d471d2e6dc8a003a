// expression_parser.h: the expressions of a template, by the precedence that jinja2 gives them; and
// the tokens and nodes, which the parser of statements works on, too.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/jinja/ast.h"
#include "model/jinja/lexer.h"
#include "model/jinja/names.h"

namespace expertmesh::jinja {

// Errors of all that parses: INVALID_ARGUMENT, with the position and what is wrong or unsupported.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // With a conditional, "a if b else c" is one expression; without, it ends before "if".
  absl::StatusOr<NodeId> Expression(bool with_conditional = true);
  // An expression, or several with commas between: a tuple.
  absl::StatusOr<NodeId> Tuple(bool with_conditional = true);

  const Token& current() const { return tokens_[at_]; }
  Token Take();  // the current token, and goes on; the end stays current
  bool IsName(absl::string_view name) const { return current().Is(Token::Kind::kName, name); }
  bool IsOperator(absl::string_view text) const {
    return current().Is(Token::Kind::kOperator, text);
  }
  bool Skip(Token::Kind kind, absl::string_view text);  // whether it was there
  absl::Status Expect(Token::Kind kind, absl::string_view text);
  absl::Status Unexpected() const;  // the error for the current token

  absl::StatusOr<NodeId> Add(Node node);
  Node& node(NodeId id) { return ast_.nodes[id]; }
  Ast& ast() { return ast_; }

  void NoteAssigned(const std::string& name) { assigned_.insert(name); }

  // For loops around what is parsed, and whether it is the filter of one.
  int loops = 0;
  bool in_loop_filter = false;

  // One level down, until it goes out of scope.
  class Level {
   public:
    explicit Level(ExpressionParser* parser) : parser_(parser) { ++parser_->level_; }
    ~Level() { --parser_->level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    absl::Status status() const;

   private:
    ExpressionParser* parser_;
  };

 private:
  struct Arguments {
    std::vector<NodeId> positional;
    std::vector<std::pair<std::string, NodeId>> named;
  };

  absl::StatusOr<NodeId> Or();
  absl::StatusOr<NodeId> And();
  absl::StatusOr<NodeId> Not();
  absl::StatusOr<NodeId> Compare();
  absl::StatusOr<NodeId> Sum();
  absl::StatusOr<NodeId> Concat();
  absl::StatusOr<NodeId> Product();
  absl::StatusOr<NodeId> Unary(bool with_filters = true);
  absl::StatusOr<NodeId> Primary();
  absl::StatusOr<NodeId> NameOrConstant();
  absl::StatusOr<NodeId> Number();
  absl::StatusOr<NodeId> Loop(Position position);
  absl::StatusOr<NodeId> ListLiteral();
  absl::StatusOr<NodeId> DictLiteral();
  absl::StatusOr<NodeId> Postfix(NodeId subject);
  absl::StatusOr<NodeId> Attribute(NodeId subject);
  absl::StatusOr<NodeId> Item(NodeId subject);
  absl::StatusOr<NodeId> Slice(NodeId subject, NodeId first, Position position);
  absl::StatusOr<NodeId> Filters(NodeId subject);
  absl::StatusOr<NodeId> FilterCall(NodeId subject);
  absl::StatusOr<NodeId> TestCall(NodeId subject);
  absl::StatusOr<NodeId> FunctionCall(NodeId name);
  absl::StatusOr<Arguments> CallArguments();
  bool TupleEnds() const;
  // Puts the arguments into the order of the signature's parameters.
  absl::StatusOr<NodeId> Call(Node node, absl::string_view what, const Signature& signature,
                              const Arguments& arguments);
  absl::StatusOr<NodeId> Constant(Value value, Position position);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int level_ = 0;
  Ast ast_;
  absl::flat_hash_set<std::string> assigned_;
};

}  // namespace expertmesh::jinja
