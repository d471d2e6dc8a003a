// deadline.h: our steady-clock deadlines and gRPC's wall-clock ones.
#pragma once

#include <chrono>

#include "common/clock.h"

namespace expertmesh {

// kNever and gRPC's "no deadline" (time_point::max) are each other's form. Far beyond any request
// (a year) counts as none.
std::chrono::system_clock::time_point ToGrpcDeadline(Time deadline);
Time FromGrpcDeadline(std::chrono::system_clock::time_point deadline);

// Whether a call that gRPC has cancelled ran out of time: gRPC's timer and our clock may differ a
// little.
inline bool HasExpired(Time deadline) { return Now() + std::chrono::milliseconds(5) >= deadline; }

}  // namespace expertmesh
