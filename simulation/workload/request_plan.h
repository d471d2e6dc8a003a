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
  bool resumes = false;     // the client asks for the rest of an answer that breaks off
  Duration hang_up{};       // from `at`: its connection breaks; zero: never
  Duration away{};          // from there, until it asks for the rest
};

// At most `most` requests of random prompts and lengths up to `longest`, some with deadlines, some
// cancelled; alone and in bursts.
std::vector<RequestPlan> DrawRequests(Random& chance, const StubModel& model, Duration busy,
                                      int64_t most, int64_t longest);

// One that nothing stands in the way of.
GenerateRequest DrawRequest(Random& chance, const StubModel& model, int64_t longest);

}  // namespace expertmesh::simulation
