// fleet_text.h: a fleet for people.
#pragma once

#include <string>

#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

// "READY", "cordoned, 12 pinned", "[#####-----] 1.20 GB of 2.40 GB".
std::string StateName(v1::WorkerState state);
std::string OrdersText(const v1::WorkerOrders& orders);  // "-" without any
std::string MarginText(const v1::WorkerListing& worker);
std::string ProgressText(const v1::WorkerListing& worker);  // "" when it loads nothing

// All that is known, each worker a line; last, whether the fleet is whole. Lines.
std::string FleetText(const v1::GetTopologyResponse& fleet);

// Whether a worker that is to leave has left; else what keeps it, for people. `plan` is a dry run
// of now.
bool HasLeft(const v1::GetTopologyResponse& fleet, const std::string& name);
std::string WhatKeeps(const v1::GetTopologyResponse& fleet, const std::string& name,
                      const v1::PlanPlacementResponse& plan);

// The worker of this name; null: there is none.
const v1::WorkerListing* FindWorker(const v1::GetTopologyResponse& fleet, const std::string& name);

}  // namespace expertmesh
