#include "model/jinja/evaluator.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/jinja/builtins.h"
#include "model/jinja/operators.h"

namespace expertmesh::jinja {
namespace {

enum OutputForm : uint8_t { kAsIs, kEscaped };

absl::Status At(const Node& node, const absl::Status& status) {
  return Annotate(status,
                  absl::StrCat("line ", node.position.line, ", column ", node.position.column));
}

}  // namespace

absl::StatusOr<std::string> Evaluator::Run() {
  scopes_.emplace_back();
  RETURN_IF_ERROR(Execute(ast_.root).status());
  return std::move(out_);
}

absl::StatusOr<Evaluator::Flow> Evaluator::Execute(NodeId id) {
  const Node& node = ast_.nodes[id];
  RETURN_IF_ERROR(budget_.Steps(1));
  switch (node.kind) {
    case Node::Kind::kText:
      RETURN_IF_ERROR(Print(node.value.text()));
      return Flow::kOn;
    case Node::Kind::kOutput:
      RETURN_IF_ERROR(ExecuteOutput(node));
      return Flow::kOn;
    case Node::Kind::kIf:
      return ExecuteIf(node);
    case Node::Kind::kFor:
      return ExecuteFor(node);
    case Node::Kind::kSet:
      RETURN_IF_ERROR(ExecuteSet(node));
      return Flow::kOn;
    case Node::Kind::kSetAttribute:
      RETURN_IF_ERROR(ExecuteSetAttribute(node));
      return Flow::kOn;
    case Node::Kind::kSetBlock:
      return ExecuteSetBlock(node);
    case Node::Kind::kBody:
      return ExecuteBody(node);
    case Node::Kind::kScope: {
      scopes_.emplace_back();
      absl::StatusOr<Flow> flow = Execute(node.children[0]);
      scopes_.pop_back();
      return flow;
    }
    case Node::Kind::kBreak:
      return Flow::kBreak;
    default:
      return Flow::kContinue;
  }
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteBody(const Node& node) {
  for (NodeId statement : node.children) {
    ASSIGN_OR_RETURN(const Flow flow, Execute(statement));
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteIf(const Node& node) {
  const std::vector<NodeId>& parts = node.children;
  size_t i = 0;
  for (; i + 1 < parts.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value condition, Eval(parts[i]));
    if (condition.Truthy()) return Execute(parts[i + 1]);
  }
  if (i < parts.size()) return Execute(parts[i]);
  return Flow::kOn;
}

absl::Status Evaluator::Print(absl::string_view text) {
  RETURN_IF_ERROR(budget_.Output(static_cast<int64_t>(out_.size() + text.size())));
  RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(text.size())));
  absl::StrAppend(&out_, text);
  return absl::OkStatus();
}

absl::Status Evaluator::ExecuteOutput(const Node& node) {
  NodeId child = node.children[0];
  const Node& expression = ast_.nodes[child];
  OutputForm form = kAsIs;
  if (expression.kind == Node::Kind::kFilter) {
    const auto filter = static_cast<Filter>(expression.id);
    if (filter == Filter::kEscape) form = kEscaped;
    if (filter == Filter::kEscape || filter == Filter::kSafe) child = expression.children[0];
  }
  ASSIGN_OR_RETURN(const Value value, Eval(child));
  absl::StatusOr<std::string> text = ToText(value, budget_);
  if (!text.ok()) return At(node, text.status());
  if (form == kAsIs) return Print(*text);
  RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(text->size()) * 5));
  return Print(EscapedHtml(*text));
}

absl::Status Evaluator::Assign(const Node& node, const Value& value) {
  Scope& scope = scopes_.back();
  if (node.names.size() == 1) {
    scope[node.names[0]] = value;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<Value>> parts = Elements(value, budget_);
  if (!parts.ok()) return At(node, parts.status());
  if (value.is_undefined() || parts->size() != node.names.size()) {
    return ErrorAt(node.position,
                   absl::StrCat(parts->size(), " values for ", node.names.size(), " names"));
  }
  for (size_t i = 0; i < parts->size(); ++i) scope[node.names[i]] = std::move((*parts)[i]);
  return absl::OkStatus();
}

absl::Status Evaluator::ExecuteSet(const Node& node) {
  ASSIGN_OR_RETURN(const Value value, Eval(node.children[0]));
  return Assign(node, value);
}

absl::Status Evaluator::ExecuteSetAttribute(const Node& node) {
  ASSIGN_OR_RETURN(Value value, Eval(node.children[0]));
  ASSIGN_OR_RETURN(const Value space, EvalName(node));
  if (!space.is_namespace()) {
    return ErrorAt(node.position, absl::StrCat("'", node.names[0], "' is no namespace"));
  }
  Namespace& target = space.space();
  RETURN_IF_ERROR(budget_.Steps(static_cast<int64_t>(target.attributes.size()) / 16));
  if (Value* found = target.Find(node.names[1])) {
    *found = std::move(value);
  } else {
    target.attributes.emplace_back(node.names[1], std::move(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteSetBlock(const Node& node) {
  std::string outer = std::exchange(out_, {});
  scopes_.emplace_back();
  absl::StatusOr<Flow> flow = Execute(node.children[0]);
  scopes_.pop_back();
  std::string captured = std::exchange(out_, std::move(outer));
  RETURN_IF_ERROR(flow.status());
  if (*flow == Flow::kOn) RETURN_IF_ERROR(Assign(node, Value::Text(std::move(captured))));
  return flow;
}

// Takes elements until one passes the filter; false: there is none any more.
absl::StatusOr<bool> Evaluator::Pull(Loop& loop) {
  const NodeId filter = loop.node->children[1];
  while (loop.next < loop.source.size()) {
    RETURN_IF_ERROR(budget_.Steps(1));
    Value element = loop.source[loop.next++];
    if (filter != kNoNode) {
      scopes_.emplace_back();
      absl::Status status = Assign(*loop.node, element);
      absl::StatusOr<Value> passes = status.ok() ? Eval(filter) : status;
      scopes_.pop_back();
      RETURN_IF_ERROR(passes.status());
      if (!passes->Truthy()) continue;
    }
    loop.elements.push_back(std::move(element));
    return true;
  }
  return false;
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteFor(const Node& node) {
  ASSIGN_OR_RETURN(const Value sequence, Eval(node.children[0]));
  absl::StatusOr<std::vector<Value>> source = Elements(sequence, budget_);
  if (!source.ok()) return At(node, source.status());
  loops_.push_back({&node, *std::move(source)});
  Flow flow = Flow::kOn;
  // As in jinja2: else is for when no body came to its end, be it for break or continue.
  bool any = false;
  while (flow != Flow::kBreak) {
    Loop& loop = loops_.back();  // loops within grow the vector: taken anew each time
    if (loop.index >= loop.elements.size()) {
      ASSIGN_OR_RETURN(const bool more, Pull(loop));
      if (!more) break;
    }
    scopes_.emplace_back();
    RETURN_IF_ERROR(Assign(node, loop.elements[loop.index]));
    ASSIGN_OR_RETURN(flow, Execute(node.children[2]));
    any = any || flow == Flow::kOn;
    scopes_.pop_back();
    ++loops_.back().index;
  }
  loops_.pop_back();
  return any ? Flow::kOn : ExecuteElse(node);
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteElse(const Node& node) {
  if (node.children[3] == kNoNode) return Flow::kOn;
  scopes_.emplace_back();
  absl::StatusOr<Flow> flow = Execute(node.children[3]);
  scopes_.pop_back();
  return flow;
}

}  // namespace expertmesh::jinja
