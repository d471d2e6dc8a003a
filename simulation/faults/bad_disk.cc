// An expert worker's next load fails: its life ends, and it is started again.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"
#include "simulation/roles/expert_process.h"

namespace expertmesh::simulation {

void InjectBadDisk(Cluster& cluster, const FaultPlan& fault) {
  auto* expert = dynamic_cast<ExpertProcess*>(cluster.Newest(fault.target));
  if (expert != nullptr) expert->FailNextLoad(true);
}

}  // namespace expertmesh::simulation
