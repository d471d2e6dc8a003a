// template.h: chat templates: the part of Jinja that published ones are written in.
//
// A template renders as Hugging Face transformers renders it (jinja2's sandbox, with trim_blocks
// and lstrip_blocks, autoescape off). What is outside of that part is refused by Parse, by name,
// and not when a conversation happens to need it. docs/chat_templates.md lists what is in it.
//
// Hostile   Templates and variables may come from strangers. Text, time and memory are bounded
//           (budget.h); nothing in them reaches out of the rendering.
// Threads   a Template may be rendered from any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/ast.h"
#include "model/jinja/budget.h"
#include "model/jinja/value.h"

namespace expertmesh::jinja {

inline constexpr size_t kTemplateBytesMax = 1 << 20;

class Template {
 public:
  // Errors  INVALID_ARGUMENT: what is wrong or unsupported, with line, column and name; or more
  //         than kTemplateBytesMax bytes.
  static absl::StatusOr<Template> Parse(absl::string_view source);

  // `variables` is a dict, whose keys are the names.
  // Errors  INVALID_ARGUMENT: raise_exception's own text, if the template called it; else where and
  //         why it cannot go on: what Python would raise, or what is not supported of a value.
  //         RESOURCE_EXHAUSTED: one of the limits.
  absl::StatusOr<std::string> Render(const Value& variables, const Limits& limits = {}) const;

 private:
  explicit Template(Ast ast) : ast_(std::move(ast)) {}

  Ast ast_;
};

}  // namespace expertmesh::jinja
