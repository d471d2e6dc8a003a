// raw_message.h: messages that a service reads and writes itself, so that one that cannot be read
// is refused with a reason. (Where gRPC parses, the call ends with UNIMPLEMENTED and no text.)
#pragma once

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/check.h"
#include "rpc/unreadable.h"

namespace expertmesh {

// Errors  INVALID_ARGUMENT: the bytes are no such message, or a text in it is not valid UTF-8; the
//         field is named.
template <typename Message>
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, Message* message) {
  grpc::ByteBuffer copy = bytes;  // shares the slices; reading needs one that may be changed
  if (grpc::SerializationTraits<Message>::Deserialize(&copy, message).ok()) {
    return absl::OkStatus();
  }
  std::vector<grpc::Slice> slices;
  std::string text;
  if (bytes.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return absl::InvalidArgumentError(WhyUnreadable(text, *Message::descriptor()));
}

template <typename Message>
grpc::ByteBuffer ToBytes(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  const grpc::Status status = grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own);
  CHECK(status.ok(), "our own messages are bounded");
  return bytes;
}

}  // namespace expertmesh
