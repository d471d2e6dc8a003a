// Hostile frames: a peer's bytes become a message, a hello or a Status; and whatever was understood
// is written as the very bytes that were read.
//
// The input is read twice: as it is, and with the envelope's magic, lengths and checksum
// made true, so that a search comes past them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/check.h"
#include "transport/wire.h"
#include "transport/wire_bytes.h"
#include "transport/wire_envelope.h"

namespace expertmesh {
namespace {

constexpr uint32_t kMessageHeaderBytes = 72;

using Bytes = std::vector<std::byte>;

void CheckMessage(const Bytes& frame) {
  const absl::StatusOr<Message> message = ParseFrame(Payload(frame));
  if (!message.ok()) {
    CHECK(absl::IsDataLoss(message.status()) || absl::IsInvalidArgument(message.status()),
          "a frame is refused as one");
    return;
  }
  const MessageHeader& header = message->header;
  const size_t row_bytes = header.row_elements * SizeOf(header.dtype);
  CHECK(message->rows.bytes().size() == header.rows * row_bytes, "rows as the header says");
  for (const Assignment& assignment : message->assignments) {
    CHECK(assignment.row < header.rows, "each assignment names a row");
  }
  const Body body = {message->assignments,
                     message->numbers,
                     {message->rows.bytes().data(), row_bytes, row_bytes, header.rows, {}}};
  const absl::StatusOr<size_t> size = FrameBytes(header, body);
  CHECK(size.ok() && *size == frame.size(), "what may be read may be written");
  Bytes again(*size);
  WriteFrame(header, body, again.data());
  CHECK(again == frame, "the same message is the same bytes");
}

void CheckHandshake(const Bytes& frame) {
  const absl::StatusOr<Hello> hello = ParseHandshake(frame);
  const FrameSort sort = SortOf(frame);
  CHECK(!hello.ok() || sort == FrameSort::kHello, "only a hello is read as one");
  if (!hello.ok()) return;
  CHECK(!Describe(*hello).empty(), "whoever it is has a description");
  const std::string written = WriteHello(*hello);
  Bytes again(written.size());
  std::memcpy(again.data(), written.data(), written.size());
  const absl::StatusOr<Hello> reread = ParseHandshake(again);
  CHECK(reread.ok() && *reread == *hello, "a hello comes back");
}

// With the magic, lengths and checksum that the frame should have.
Bytes Repaired(Bytes frame) {
  ByteReader in(frame);
  in.U32();
  Envelope envelope;
  envelope.version = in.U16();
  envelope.kind = in.U8();
  envelope.lane = in.U8();
  const size_t left = frame.size() - kEnvelopeBytes;
  const bool handshake = SortOf(frame) != FrameSort::kMessage;
  envelope.header_bytes = handshake
                              ? static_cast<uint32_t>(left)
                              : static_cast<uint32_t>(std::min<size_t>(left, kMessageHeaderBytes));
  envelope.body_bytes = left - envelope.header_bytes;
  WriteEnvelope(envelope, frame.data());
  return frame;
}

void ReadHostile(absl::Span<const std::byte> input) {
  const Bytes frame(input.begin(), input.end());
  CheckMessage(frame);
  CheckHandshake(frame);
  if (frame.size() < kEnvelopeBytes) return;
  const Bytes repaired = Repaired(frame);
  CheckMessage(repaired);
  CheckHandshake(repaired);
}

}  // namespace
}  // namespace expertmesh

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expertmesh::ReadHostile({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
