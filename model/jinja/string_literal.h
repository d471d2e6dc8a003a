// string_literal.h: what a string in a template's text means.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh::jinja {

// Resolves Python's escapes in what stands between the quotes; an unknown one stays as it is.
// Errors  INVALID_ARGUMENT: an escape that is cut short, \N{name}, or one of a surrogate.
absl::StatusOr<std::string> Unescape(absl::string_view body);

}  // namespace expertmesh::jinja
