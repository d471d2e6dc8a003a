// listing.h: the fleet, orders and plans as operators see them, as messages.
#pragma once

#include "coordinator/coordinator.h"
#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

v1::GetTopologyResponse ToProto(const FleetListing& listing);

v1::WorkerOrders ToProto(const WorkerOrders& orders);
v1::Balance ToProto(const BalanceSummary& summary);
// The plan alone; held_up has its place in the response.
v1::PlacementPlan ToProto(const PlanAnswer& answer);

// Errors  INVALID_ARGUMENT: name or pinned, by field.
absl::StatusOr<OrdersChange> FromProto(const v1::SetWorkerOrdersRequest& request);

}  // namespace expertmesh
