// plan_text.h: a placement plan for people.
#pragma once

#include <string>

#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

// What each round moves, what that costs, and how even the load is before and after. Lines.
std::string PlanText(const v1::PlacementPlan& plan);

}  // namespace expertmesh
