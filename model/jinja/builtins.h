// builtins.h: what the filters, tests, methods and functions of names.h give.
//
// Arguments are in the order of the signature's parameters; nullptr where one was not given.
// Errors  INVALID_ARGUMENT: where Python would raise, or what is not supported of a value.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/jinja/budget.h"
#include "model/jinja/names.h"
#include "model/jinja/value.h"

namespace expertmesh::jinja {

using Arguments = absl::Span<const Value* const>;

// Not safe and escape, which belong to {{ }}.
absl::StatusOr<Value> CallFilter(Filter filter, const Value& subject, Arguments arguments,
                                 Budget& budget);
absl::StatusOr<bool> CallTest(Test test, const Value& subject, Arguments arguments, Budget& budget);
absl::StatusOr<Value> CallMethod(Method method, const Value& subject, Arguments arguments,
                                 Budget& budget);
absl::StatusOr<Value> Range(Arguments arguments, Budget& budget);

// `text` with the characters that mean something in HTML replaced.
std::string EscapedHtml(absl::string_view text);

// For filters and methods alike.
struct ReplaceArguments {
  absl::string_view from;
  absl::string_view to;
  int64_t count = -1;  // at most; below 0: all
};
absl::StatusOr<Value> Replace(absl::string_view text, const ReplaceArguments& arguments,
                              Budget& budget);
absl::StatusOr<Value> ChangeCase(absl::string_view text, bool upper, Budget& budget);

}  // namespace expertmesh::jinja
