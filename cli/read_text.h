// read_text.h: a text that a flag names a file for.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace expertmesh {

// The whole file; "-" is standard input. Errors  NOT_FOUND: `flag`, and the file that cannot be
// read.
absl::StatusOr<std::string> ReadText(const std::string& flag, const std::string& file);

}  // namespace expertmesh
