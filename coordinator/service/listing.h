// listing.h: the fleet as operators see it, as a message.
#pragma once

#include "coordinator/coordinator.h"
#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

v1::GetTopologyResponse ToProto(const FleetListing& listing);

}  // namespace expertmesh
