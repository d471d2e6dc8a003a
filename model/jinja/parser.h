// parser.h: a template's text as a tree.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/ast.h"

namespace expertmesh::jinja {

// Errors  INVALID_ARGUMENT: what is no template, or uses what is not supported; with line, column
//         and name.
absl::StatusOr<Ast> Parse(absl::string_view source);

}  // namespace expertmesh::jinja
