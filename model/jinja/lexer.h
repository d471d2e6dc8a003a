// lexer.h: a template's text as tokens, with white space already cut as transformers has it cut:
// trim_blocks and lstrip_blocks are on, one newline at the end of the template is dropped.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh::jinja {

// Where in the template, both from 1; columns count bytes.
struct Position {
  int line = 1;
  int column = 1;
};

struct Token {
  enum class Kind {
    kData,           // text: what is printed as it stands
    kVariableBegin,  // {{
    kVariableEnd,
    kBlockBegin,  // {%
    kBlockEnd,
    kName,
    kInteger,   // text: its digits, without underscores
    kFloat,     // the same
    kString,    // text: what it means, escapes resolved
    kOperator,  // text
    kEnd,
  };
  Kind kind;
  std::string text;
  Position position;

  bool Is(Kind wanted, absl::string_view wanted_text) const {
    return kind == wanted && text == wanted_text;
  }
};

// The status with "line L, column C: " before `what`.
absl::Status ErrorAt(Position position, absl::string_view what);

// Ends with a kEnd.
// Errors  INVALID_ARGUMENT: not UTF-8, or what is not a token, and where.
absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source);

}  // namespace expertmesh::jinja
