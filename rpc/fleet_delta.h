// fleet_delta.h: the fleet's state as a stream of events: what differs from one state to the next,
// and how whoever reads them gets the state back.
//
// A state is a GetTopologyResponse whose workers, and whose topology's members, are sorted by role,
// then name, no name coming twice.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

// FleetEvent.hash of this state.
uint64_t HashOf(const v1::GetTopologyResponse& state);

// What makes `after` of `before`.
v1::FleetDelta DifferenceOf(const v1::GetTopologyResponse& before,
                            const v1::GetTopologyResponse& after);

// Makes the state after `event` of the one before.
// Errors  DATA_LOSS: what comes out has not the hash that the event tells, or the event tells none.
//         `state` is worthless then.
absl::Status ApplyEvent(const v1::FleetEvent& event, v1::GetTopologyResponse& state);

}  // namespace expertmesh
