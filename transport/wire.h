// wire.h: the bytes of a frame: one writer, one parser. docs/wire.md draws them.
//
//   magic u32 "EMF1" | version u16 | kind u8 | lane u8 | header bytes u32 | body bytes u64 |
//   checksum u64 | header | body
//
// All integers are little-endian. The body is the assignments (row u32, expert u32 each), the
// numbers (u64 each), then the rows without padding. The checksum is XXH3 of header and body,
// seeded with XXH3 of the 20 bytes before it: it covers every bit of the frame. The parser trusts
// nothing: every length is checked against the limits of message.h and against the bytes that are
// there, before it is used.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "transport/handshake.h"
#include "transport/message.h"

namespace expertmesh {

// Bytes of the frame of this message. Errors: INVALID_ARGUMENT: a limit of message.h, or a part
// that this kind of message does not have; by name, with the value and its bound.
absl::StatusOr<size_t> FrameBytes(const MessageHeader& header, const Body& body);

// Writes exactly FrameBytes(header, body) bytes; the rows are gathered here, their one copy.
void WriteFrame(const MessageHeader& header, const Body& body, std::byte* out);

// Copies the rows to `out`, one after the other: rows * row_bytes bytes.
void GatherRows(const RowsView& rows, std::byte* out);

// Parses one whole frame, held by `frame`; the message's rows keep it alive.
// Errors  DATA_LOSS: magic, length or checksum; INVALID_ARGUMENT: a field, its value, its bound.
absl::StatusOr<Message> ParseFrame(Payload frame);

// Handshake frames, in the same envelope. `why` is not OK; its text is cut at kMaxReasonBytes.
std::string WriteHello(const Hello& hello);
std::string WriteRefusal(const absl::Status& why);  // the hello was judged, and this is the verdict
std::string WriteGoodbye(const absl::Status& why);  // the last frame of a side that closes
// The peer's hello; or, when the frame is a refusal, its status, annotated with "refused by peer";
// of a goodbye, UNAVAILABLE with its text, annotated with "closed by peer".
absl::StatusOr<Hello> ParseHandshake(absl::Span<const std::byte> frame);

// What a frame says that it is. Looks at its kind only: the parsers check the rest.
enum class FrameSort { kMessage, kHello, kLastWord };
FrameSort SortOf(absl::Span<const std::byte> frame);

inline constexpr size_t kMaxReasonBytes = 4096;

}  // namespace expertmesh
