// wire_envelope.h: what every frame begins with, messages and handshakes alike. Its layout is the
// same in all wire versions, so that two versions can tell each other apart by name.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace expertmesh {

inline constexpr uint32_t kFrameMagic = 0x31464d45;  // "EMF1", read as little-endian
inline constexpr size_t kEnvelopeBytes = 28;
inline constexpr size_t kEnvelopeKindAt = 6;

// Kinds of the handshake, beside those of MessageKind.
inline constexpr uint8_t kHelloKind = 250;
inline constexpr uint8_t kRefusalKind = 251;
inline constexpr uint8_t kGoodbyeKind = 252;

struct Envelope {
  uint16_t version = 0;
  uint8_t kind = 0;
  uint8_t lane = 0;
  uint32_t header_bytes = 0;
  uint64_t body_bytes = 0;
};

// Writes the envelope in front of a header and body that lie behind it already: the checksum is
// taken here.
void WriteEnvelope(const Envelope& envelope, std::byte* frame);

// Checks magic, lengths and checksum. header and body lie at kEnvelopeBytes, in that order, and
// fill the frame to its end. Errors: DATA_LOSS.
absl::StatusOr<Envelope> ParseEnvelope(absl::Span<const std::byte> frame);

}  // namespace expertmesh
