// listing.h: the fleet as operators see it, as a message.
#pragma once

#include "coordinator/coordinator.h"
#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

v1::GetTopologyResponse ToProto(const FleetListing& listing);

// Whether requests can be served now: a placement, nothing uncovered, an attention worker READY.
bool CanServe(const FleetListing& listing);

}  // namespace expertmesh
