// json_value.h: JSON text as a template's value: what comes with a message beside its text, such as
// tool calls, and the tools themselves.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/value.h"

namespace expertmesh {

// Any JSON value. The order of keys stays, since templates print objects.
// Errors  INVALID_ARGUMENT: where it is no JSON; more than kJsonDepthMax levels; a key twice in one
//         object; an integer of more than 64 bits.
absl::StatusOr<jinja::Value> ParseJsonValue(absl::string_view text);

}  // namespace expertmesh
