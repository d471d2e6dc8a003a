#include "transport/wire_envelope.h"

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "transport/message.h"
#include "transport/wire_bytes.h"

namespace expertmesh {
namespace {

constexpr size_t kChecksumAt = kEnvelopeBytes - 8;

uint64_t Checksum(const std::byte* frame, size_t bytes) {
  return Hash64(frame + kEnvelopeBytes, bytes - kEnvelopeBytes, Hash64(frame, kChecksumAt));
}

}  // namespace

void WriteEnvelope(const Envelope& envelope, std::byte* frame) {
  ByteWriter out(frame);
  out.U32(kFrameMagic);
  out.U16(envelope.version);
  out.U8(envelope.kind);
  out.U8(envelope.lane);
  out.U32(envelope.header_bytes);
  out.U64(envelope.body_bytes);
  out.U64(Checksum(frame, kEnvelopeBytes + envelope.header_bytes + envelope.body_bytes));
}

absl::StatusOr<Envelope> ParseEnvelope(absl::Span<const std::byte> frame) {
  if (frame.size() < kEnvelopeBytes || frame.size() > kMaxFrameBytes) {
    return absl::DataLossError(absl::StrCat("frame of ", frame.size(), " bytes; legal are ",
                                            kEnvelopeBytes, " to ", kMaxFrameBytes));
  }
  ByteReader in(frame);
  const uint32_t magic = in.U32();
  if (magic != kFrameMagic) {
    return absl::DataLossError(absl::StrCat("frame magic is 0x", absl::Hex(magic, absl::kZeroPad8),
                                            ", not \"EMF1\": the peer speaks another protocol"));
  }
  Envelope envelope;
  envelope.version = in.U16();
  envelope.kind = in.U8();
  envelope.lane = in.U8();
  envelope.header_bytes = in.U32();
  envelope.body_bytes = in.U64();
  const uint64_t stated = in.U64();
  const size_t left = in.left();
  if (envelope.header_bytes > left || envelope.body_bytes != left - envelope.header_bytes) {
    return absl::DataLossError(absl::StrCat("frame says header of ", envelope.header_bytes,
                                            " and body of ", envelope.body_bytes, " bytes, has ",
                                            left, " together"));
  }
  const uint64_t found = Checksum(frame.data(), frame.size());
  if (stated != found) {
    return absl::DataLossError(absl::StrCat("frame checksum is ", absl::Hex(found),
                                            ", the frame says ", absl::Hex(stated)));
  }
  return envelope;
}

}  // namespace expertmesh
