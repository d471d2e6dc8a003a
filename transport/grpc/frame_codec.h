// frame_codec.h: a frame as the protobuf message expertmesh.v1.Frame, without a protobuf parser.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "transport/message.h"

namespace expertmesh {

// Of gRPC's limit: the largest frame with its tag and length.
inline constexpr size_t kMaxGrpcMessageBytes = kMaxFrameBytes + 16;

// The message's frame, gathered into one slice. frame_bytes: FrameBytes(header, body).
grpc::ByteBuffer WrapMessage(const MessageHeader& header, const Body& body, size_t frame_bytes);

// A frame that is written already: the handshake's.
grpc::ByteBuffer WrapFrame(absl::string_view frame);

// The frame inside, without a copy where gRPC holds the message in one slice. `buffer` is empty
// afterwards. Errors: DATA_LOSS: not exactly one field 1 of bytes.
absl::StatusOr<Payload> UnwrapFrame(grpc::ByteBuffer& buffer);

}  // namespace expertmesh
