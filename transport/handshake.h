// handshake.h: what two workers must agree on before a row passes between them.
//
// The dialer says Hello, the other side judges it and answers with its own Hello or with a refusal;
// the dialer judges the answer. A mismatch is refused by name, both values in the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cluster/report.h"
#include "cluster/topology.h"
#include "common/dtype.h"
#include "common/ids.h"

namespace expertmesh {

inline constexpr uint16_t kWireVersion = 1;

// Bytes of a worker's name and of a class's name. Whoever makes a Hello keeps to it.
inline constexpr size_t kMaxNameBytes = 256;

struct Hello {
  uint16_t wire_version = kWireVersion;
  DType wire_dtype = DType::kF32;  // one value per fleet
  std::string name;
  WorkerRole role = WorkerRole::kAttention;
  Incarnation incarnation;
  ModelFingerprint model;
  ComputeClass compute_class;
  uint32_t hidden = 0;  // elements of a row
  bool operator==(const Hello&) const = default;
};

// "expert worker e0 (3#5)", for texts; whatever bytes a peer calls itself, it stays one line.
std::string Describe(const Hello& who);

// The hello of the worker that reports `identity`.
Hello HelloOf(const Report& identity, Incarnation incarnation, DType wire_dtype);

// What the topology says of a peer: the dialer knows it before it dials.
struct PeerExpectation {
  std::string name;
  WorkerRole role = WorkerRole::kExpert;
  Incarnation incarnation;
  ComputeClass compute_class;
};

// Wire version, wire dtype, row width, model. FAILED_PRECONDITION with what, ours and theirs.
absl::Status CheckCompatible(const Hello& mine, const Hello& theirs);

// That the peer is whom we meant: name, role, incarnation, class. FAILED_PRECONDITION as above.
absl::Status CheckExpected(const PeerExpectation& expected, const Hello& theirs);

}  // namespace expertmesh
