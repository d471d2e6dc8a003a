// json_fields.h: JSON that others wrote, read field by field, with messages that name the field.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

inline constexpr int kJsonDepthMax = 32;

// Parses one JSON object, strictly: no comments, no NaN, nothing after it, at most kJsonDepthMax
// levels, and no key twice in one object (readers disagree on which of the two holds).
// Errors  INVALID_ARGUMENT: the byte, or the key.
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text);

// A value or a name out of a file, shortened and escaped so that it can stand in a message. Of an
// object or an array only the kind and the size.
std::string Excerpt(const nlohmann::json& value);
std::string Quote(absl::string_view name);

// Reads the fields of one object. The first error stays and is what status() tells; after it, the
// getters return legal values, so that a caller may read everything and ask once.
class JsonFields {
 public:
  // `object` is a JSON object that outlives this; `path` stands before each name in messages.
  explicit JsonFields(const nlohmann::json& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  bool Has(const std::string& name) const { return object_.contains(name); }
  // nullptr where the field is absent or null.
  const nlohmann::json* Find(const std::string& name) const;

  // Integers are JSON integers: 2048.0 is refused. Bounds are inclusive.
  int64_t Integer(const std::string& name, int64_t min, int64_t max);
  int64_t IntegerOr(const std::string& name, int64_t min, int64_t max, int64_t fallback);
  // The field must be there, but may be null.
  int64_t IntegerOrNull(const std::string& name, int64_t min, int64_t max, int64_t if_null);
  double Number(const std::string& name, double min, double max);
  double NumberOr(const std::string& name, double min, double max, double fallback);
  bool BoolOr(const std::string& name, bool fallback);
  std::string Text(const std::string& name);
  std::string TextOr(const std::string& name, const std::string& fallback);

  // Notes that `name` has not what is `expected`; what it has is looked up.
  void Refuse(const std::string& name, absl::string_view expected);
  void Note(const absl::Status& status);
  const absl::Status& status() const { return status_; }

 private:
  const nlohmann::json& object_;
  std::string path_;
  absl::Status status_;
};

}  // namespace expertmesh
