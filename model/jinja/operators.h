// operators.h: Python's operators on values. What Python answers with a TypeError is here
// INVALID_ARGUMENT, whose message names the types.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/jinja/ast.h"
#include "model/jinja/budget.h"
#include "model/jinja/value.h"

namespace expertmesh::jinja {

absl::StatusOr<Value> Apply(Node::Operation operation, const Value& a, const Value& b,
                            Budget& budget);
absl::StatusOr<Value> Negate(const Value& value);
absl::StatusOr<bool> Compare(Node::Comparison comparison, const Value& a, const Value& b,
                             Budget& budget);

// a.name, and a[index] as jinja2 looks it up: what is not there is undefined, but of an undefined
// value it is an error.
absl::StatusOr<Value> GetAttribute(const Value& value, const std::string& name, Budget& budget);
absl::StatusOr<Value> GetItem(const Value& value, const Value& index, Budget& budget);

// value[first:last:step]; none where nothing is written.
struct SliceBounds {
  Value first = Value::None();
  Value last = Value::None();
  Value step = Value::None();
};
absl::StatusOr<Value> GetSlice(const Value& value, const SliceBounds& bounds, Budget& budget);

// What a for loop or list() walks over.
absl::StatusOr<std::vector<Value>> Elements(const Value& value, Budget& budget);

// A list, within the bounds on its length and depth.
absl::StatusOr<Value> MakeList(std::vector<Value> items, Value::ListForm form, Budget& budget);
absl::StatusOr<Value> MakeText(std::string text, Budget& budget);

}  // namespace expertmesh::jinja
