// text.h: texts of any origin, made fit for a protobuf string and a terminal.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace expertmesh {

// The text, cut to `max_bytes` between characters; control characters and bytes that are not UTF-8
// become '?'. (A protobuf string that is not UTF-8 makes its whole message unreadable.)
std::string PlainText(absl::string_view text, size_t max_bytes);

}  // namespace expertmesh
