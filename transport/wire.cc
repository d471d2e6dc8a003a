#include "transport/wire.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "transport/wire_bytes.h"
#include "transport/wire_envelope.h"

namespace expertmesh {
namespace {

constexpr size_t kHeaderBytes = 72;  // of a message, in wire version 1
constexpr size_t kAssignmentBytes = 8;
constexpr size_t kNumberBytes = 8;

// A header and how long its lists are: what both the writer and the parser must find legal.
struct Shape {
  const MessageHeader& header;
  uint64_t assignments = 0;
  uint64_t numbers = 0;

  uint64_t row_bytes() const { return header.row_elements * SizeOf(header.dtype); }
  uint64_t body_bytes() const {
    return assignments * kAssignmentBytes + numbers * kNumberBytes + header.rows * row_bytes();
  }
};

absl::Status Above(absl::string_view field, uint64_t value, uint64_t bound) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, ", at most ", bound));
}

absl::Status Unknown(absl::string_view field, int value, absl::string_view known) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, ", known are ", known));
}

absl::Status CheckEnums(const MessageHeader& header) {
  const int kind = static_cast<int>(header.kind);
  const int lane = static_cast<int>(header.lane);
  const int dtype = static_cast<int>(header.dtype);
  if (kind < 1 || kind > 5) return Unknown("kind", kind, "1 to 5");
  if (lane < 1 || lane > 3) return Unknown("lane", lane, "1 to 3");
  if (dtype < 1 || dtype > 4) return Unknown("dtype", dtype, "1 to 4");
  return absl::OkStatus();
}

// Which parts a kind of message has.
absl::Status CheckParts(const Shape& shape) {
  const MessageKind kind = shape.header.kind;
  if (shape.assignments != 0 && kind != MessageKind::kDispatch) {
    return absl::InvalidArgumentError("assignments: only a dispatch has them");
  }
  if (shape.numbers != 0 && kind != MessageKind::kPong && kind != MessageKind::kNotHere) {
    return absl::InvalidArgumentError("numbers: only a pong or a not-here has them");
  }
  if (shape.header.rows != 0 && kind != MessageKind::kDispatch && kind != MessageKind::kCombine) {
    return absl::InvalidArgumentError("rows: only a dispatch or a combine has them");
  }
  if ((shape.header.rows == 0) != (shape.header.row_elements == 0)) {
    return absl::InvalidArgumentError(absl::StrCat("row_elements: ", shape.header.row_elements,
                                                   " with rows ", shape.header.rows,
                                                   ", both are 0 or none"));
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const Shape& shape) {
  RETURN_IF_ERROR(CheckEnums(shape.header));
  if (shape.header.rows > kMaxRowsPerMessage) {
    return Above("rows", shape.header.rows, kMaxRowsPerMessage);
  }
  if (shape.header.row_elements > kMaxRowElements) {
    return Above("row_elements", shape.header.row_elements, kMaxRowElements);
  }
  if (shape.assignments > kMaxAssignmentsPerMessage) {
    return Above("assignments", shape.assignments, kMaxAssignmentsPerMessage);
  }
  if (shape.numbers > kMaxNumbersPerMessage)
    return Above("numbers", shape.numbers, kMaxNumbersPerMessage);
  RETURN_IF_ERROR(CheckParts(shape));
  const uint64_t frame_bytes = kEnvelopeBytes + kHeaderBytes + shape.body_bytes();
  if (frame_bytes > kMaxFrameBytes) return Above("frame bytes", frame_bytes, kMaxFrameBytes);
  return absl::OkStatus();
}

absl::Status CheckAssignments(const MessageHeader& header, absl::Span<const Assignment> list) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].row >= header.rows) {
      return absl::InvalidArgumentError(absl::StrCat("assignments[", i, "].row: ", list[i].row,
                                                     ", the message has ", header.rows, " rows"));
    }
  }
  return absl::OkStatus();
}

// That the rows to send are those that the header tells of.
absl::Status CheckRows(const Shape& shape, const RowsView& rows) {
  if (rows.rows != shape.header.rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows: the header says ", shape.header.rows, ", the body has ", rows.rows));
  }
  if (rows.rows == 0) return absl::OkStatus();
  if (rows.row_bytes != shape.row_bytes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("row_bytes: ", rows.row_bytes, ", ", shape.header.row_elements,
                     " elements of ", Name(shape.header.dtype), " have ", shape.row_bytes()));
  }
  if (!rows.index.empty() && rows.index.size() != rows.rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("index: ", rows.index.size(), " entries for ", rows.rows, " rows"));
  }
  if (rows.base == nullptr) return absl::InvalidArgumentError("rows: no memory given");
  return absl::OkStatus();
}

void WriteHeader(const Shape& shape, ByteWriter& out) {
  const MessageHeader& header = shape.header;
  out.U64(header.call.sender.term);
  out.U64(header.call.sender.number);
  out.U64(header.call.sequence);
  out.U64(header.epoch.term);
  out.U64(header.epoch.counter);
  out.U64(header.ping);
  out.U32(header.layer);
  out.U32(header.rows);
  out.U32(header.row_elements);
  out.U32(static_cast<uint32_t>(shape.assignments));
  out.U32(static_cast<uint32_t>(shape.numbers));
  out.U8(static_cast<uint8_t>(header.dtype));
  for (int i = 0; i < 3; ++i) out.U8(0);
}

struct ParsedHeader {
  MessageHeader header;
  uint32_t assignments = 0;
  uint32_t numbers = 0;
  uint32_t reserved = 0;
};

ParsedHeader ReadHeader(const Envelope& envelope, ByteReader& in) {
  ParsedHeader parsed;
  MessageHeader& header = parsed.header;
  header.kind = static_cast<MessageKind>(envelope.kind);
  header.lane = static_cast<Lane>(envelope.lane);
  header.call.sender.term = in.U64();
  header.call.sender.number = in.U64();
  header.call.sequence = in.U64();
  header.epoch.term = in.U64();
  header.epoch.counter = in.U64();
  header.ping = in.U64();
  header.layer = in.U32();
  header.rows = in.U32();
  header.row_elements = in.U32();
  parsed.assignments = in.U32();
  parsed.numbers = in.U32();
  header.dtype = static_cast<DType>(in.U8());
  for (int i = 0; i < 3; ++i) parsed.reserved |= in.U8();
  return parsed;
}

}  // namespace

absl::StatusOr<size_t> FrameBytes(const MessageHeader& header, const Body& body) {
  const Shape shape{header, body.assignments.size(), body.numbers.size()};
  RETURN_IF_ERROR(CheckShape(shape));
  RETURN_IF_ERROR(CheckRows(shape, body.rows));
  RETURN_IF_ERROR(CheckAssignments(header, body.assignments));
  return kEnvelopeBytes + kHeaderBytes + shape.body_bytes();
}

void GatherRows(const RowsView& rows, std::byte* out) {
  if (rows.rows == 0) return;
  if (rows.index.empty() && rows.stride_bytes == rows.row_bytes) {
    std::memcpy(out, rows.base, rows.rows * rows.row_bytes);
    return;
  }
  for (size_t i = 0; i < rows.rows; ++i) {
    std::memcpy(out + i * rows.row_bytes, rows.row(i), rows.row_bytes);
  }
}

void WriteFrame(const MessageHeader& header, const Body& body, std::byte* out) {
  const Shape shape{header, body.assignments.size(), body.numbers.size()};
  ByteWriter writer(out + kEnvelopeBytes);
  WriteHeader(shape, writer);
  for (const Assignment& assignment : body.assignments) {
    writer.U32(assignment.row);
    writer.U32(assignment.expert);
  }
  for (uint64_t number : body.numbers) writer.U64(number);
  GatherRows(body.rows, writer.at());
  WriteEnvelope({kWireVersion, static_cast<uint8_t>(header.kind), static_cast<uint8_t>(header.lane),
                 kHeaderBytes, shape.body_bytes()},
                out);
}

absl::StatusOr<Message> ParseFrame(Payload frame) {
  ASSIGN_OR_RETURN(const Envelope envelope, ParseEnvelope(frame.bytes()));
  if (envelope.version != kWireVersion) {
    return Unknown("wire version", envelope.version, absl::StrCat(kWireVersion));
  }
  if (envelope.header_bytes != kHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("header bytes: ", envelope.header_bytes, ", a message has ", kHeaderBytes));
  }
  ByteReader in(frame.bytes().subspan(kEnvelopeBytes));
  ParsedHeader parsed = ReadHeader(envelope, in);
  const Shape shape{parsed.header, parsed.assignments, parsed.numbers};
  if (parsed.reserved != 0) return Unknown("reserved", parsed.reserved, "0");
  RETURN_IF_ERROR(CheckShape(shape));
  if (envelope.body_bytes != shape.body_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "body bytes: ", envelope.body_bytes, ", the header's counts make ", shape.body_bytes()));
  }
  // From here on the lists are known to be there.
  Message message;
  message.header = parsed.header;
  message.assignments.resize(parsed.assignments);
  for (Assignment& assignment : message.assignments) {
    assignment.row = in.U32();
    assignment.expert = in.U32();
  }
  RETURN_IF_ERROR(CheckAssignments(message.header, message.assignments));
  message.numbers.resize(parsed.numbers);
  for (uint64_t& number : message.numbers) number = in.U64();
  frame.RemovePrefix(frame.bytes().size() - in.left());
  message.rows = std::move(frame);
  return message;
}

}  // namespace expertmesh
