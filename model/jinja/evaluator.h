// evaluator.h: one rendering of a parsed template.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/ast.h"
#include "model/jinja/budget.h"
#include "model/jinja/names.h"
#include "model/jinja/value.h"

namespace expertmesh::jinja {

// Used once. Errors have the position of the innermost node that failed, but for those of
// raise_exception, which are the template's own words.
class Evaluator {
 public:
  Evaluator(const Ast& ast, const Dict& variables, const Limits& limits)
      : ast_(ast), variables_(variables), budget_(limits) {}

  absl::StatusOr<std::string> Run();

 private:
  enum class Flow { kOn, kBreak, kContinue };
  using Scope = absl::flat_hash_map<absl::string_view, Value>;  // names are the tree's

  // One run of a for. Elements are filtered no earlier than they are asked for, as in jinja2: what
  // the filter reads may change meanwhile.
  struct Loop {
    const Node* node;
    std::vector<Value> source;
    size_t next = 0;              // of source
    std::vector<Value> elements;  // that passed the filter
    size_t index = 0;
  };

  // Statements.
  absl::StatusOr<Flow> Execute(NodeId id);
  absl::StatusOr<Flow> ExecuteBody(const Node& node);
  absl::StatusOr<Flow> ExecuteIf(const Node& node);
  absl::StatusOr<Flow> ExecuteFor(const Node& node);
  absl::StatusOr<Flow> ExecuteElse(const Node& node);
  absl::Status ExecuteOutput(const Node& node);
  absl::Status ExecuteSet(const Node& node);
  absl::Status ExecuteSetAttribute(const Node& node);
  absl::StatusOr<Flow> ExecuteSetBlock(const Node& node);
  absl::Status Print(absl::string_view text);
  absl::Status Assign(const Node& node, const Value& value);
  absl::StatusOr<bool> Pull(Loop& loop);

  // Expressions.
  absl::StatusOr<Value> Eval(NodeId id);
  absl::StatusOr<Value> EvalKind(const Node& node);
  absl::StatusOr<Value> EvalOrUndefined(NodeId id);
  absl::StatusOr<std::vector<Value>> EvalAll(const Node& node, size_t first);
  absl::StatusOr<Value> EvalName(const Node& node);
  absl::StatusOr<Value> EvalLoop(const Node& node);
  absl::StatusOr<Value> EvalDict(const Node& node);
  absl::StatusOr<Value> EvalItem(const Node& node);
  absl::StatusOr<Value> EvalSlice(const Node& node);
  absl::StatusOr<Value> EvalConcat(const Node& node);
  absl::StatusOr<Value> EvalCompare(const Node& node);
  absl::StatusOr<Value> EvalCall(const Node& node);
  absl::StatusOr<Value> EvalFunction(const Node& node);
  absl::StatusOr<Value::Pairs> Mapping(const Node& node);

  const Ast& ast_;
  const Dict& variables_;
  Budget budget_;
  std::string out_;
  std::vector<Scope> scopes_;
  std::vector<Loop> loops_;
  // Namespaces may hold each other; so they are owned here, and values point to them.
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  bool raised_ = false;  // by raise_exception
};

}  // namespace expertmesh::jinja
