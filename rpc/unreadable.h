// unreadable.h: why the bytes of a message could not be read, in words for whoever sent them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace google::protobuf {
class Descriptor;
}

namespace expertmesh {

// Names the field: "chat.messages[1].content is not valid UTF-8 at byte 3", or the one in which the
// bytes of a `type` break off. `bytes` are any that protobuf refuses to read as one.
std::string WhyUnreadable(absl::string_view bytes, const google::protobuf::Descriptor& type);

}  // namespace expertmesh
