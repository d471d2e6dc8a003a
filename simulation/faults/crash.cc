// kill -9 and start again; and the case that is worse: a life that was taken for dead wakes up when
// another has its name.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"

namespace expertmesh::simulation {

void InjectCrash(Cluster& cluster, const FaultPlan& fault) {
  Process* process = cluster.Newest(fault.target);
  if (process == nullptr) return;
  cluster.Kill(process, /*silent=*/fault.harsh);
  const bool moved = fault.strength > 0.7;
  cluster.world().events.After(fault.length, [&cluster, name = fault.target, moved] {
    if (cluster.Newest(name) == nullptr) cluster.Launch(name, moved);
  });
}

// Not for the coordinator: without a store there is one at a time (design: terms).
void InjectReplace(Cluster& cluster, const FaultPlan& fault) {
  Process* process = cluster.Newest(fault.target);
  if (process == nullptr || process->paused() || fault.target == kCoordinatorName) return;
  process->Pause();
  const Duration until_new = cluster.world().process_chance.Between(Duration(0), fault.length);
  cluster.world().events.After(until_new, [&cluster, name = fault.target, process] {
    if (process->alive() && cluster.Newest(name) == process) cluster.Launch(name, /*moved=*/true);
  });
  cluster.world().events.After(fault.length, [process] { process->Resume(); });
}

}  // namespace expertmesh::simulation
