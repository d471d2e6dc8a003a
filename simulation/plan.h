// plan.h: everything that a seed decides before its run begins, as data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/placement/trigger.h"
#include "simulation/faults/fault.h"
#include "simulation/roles/attention_process.h"
#include "simulation/roles/expert_process.h"
#include "simulation/stub/stub_model.h"
#include "simulation/workload/request_plan.h"

namespace expertmesh::simulation {

struct Plan {
  uint64_t seed = 0;
  StubModel model;
  std::vector<std::string> attention_names;  // "a0", ...
  std::vector<std::string> expert_names;     // "e0", ...
  int32_t initial_expert_workers = 1;
  TriggerOptions balance;
  AttentionSettings attention;
  ExpertSettings expert;
  Duration late_most{};           // workers start within this time
  Duration busy{};                // requests and faults fall into this time
  Duration patience{};            // within which every request ends
  std::vector<FaultPlan> faults;  // none: every request must succeed
  std::vector<RequestPlan> requests;

  std::vector<std::string> Names() const;  // the coordinator's too
};

inline constexpr char kCoordinatorName[] = "coordinator";

Plan DrawPlan(uint64_t seed);

}  // namespace expertmesh::simulation
