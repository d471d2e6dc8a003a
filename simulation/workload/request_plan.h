// request_plan.h: what clients will ask for, as data.
#pragma once

#include <vector>

#include "common/clock.h"
#include "generation/request.h"
#include "simulation/random.h"
#include "simulation/stub/stub_model.h"

namespace expertmesh::simulation {

struct RequestPlan {
  Duration at{};            // from the start of the busy time
  GenerateRequest request;  // without its deadline
  Duration deadline{};      // from `at`; zero: none
  Duration cancel{};        // from `at`; zero: never
};

// Requests of random prompts and lengths, some with deadlines, some cancelled; alone and in bursts.
std::vector<RequestPlan> DrawRequests(Random& chance, const StubModel& model, Duration busy);

// One that nothing stands in the way of.
GenerateRequest DrawRequest(Random& chance, const StubModel& model);

}  // namespace expertmesh::simulation
