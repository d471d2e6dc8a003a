// to_json.h: a value as JSON text, as transformers' tojson has Python's json.dumps write it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "model/jinja/budget.h"
#include "model/jinja/value.h"

namespace expertmesh::jinja {

struct JsonStyle {
  bool ascii = false;                 // write \u escapes for all that is not ASCII
  bool sorted = false;                // keys in order; else as they are
  std::optional<std::string> indent;  // per level, with a newline; none: all in one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// Errors  INVALID_ARGUMENT: undefined, a namespace, a range or a view, which have no JSON.
absl::StatusOr<std::string> ToJson(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace expertmesh::jinja
