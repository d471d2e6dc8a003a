// SIGSTOP: what comes waits in the mailbox, time goes on, and then everything happens at once.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"

namespace expertmesh::simulation {

void InjectPause(Cluster& cluster, const FaultPlan& fault) {
  Process* process = cluster.Newest(fault.target);
  if (process == nullptr || process->paused()) return;
  process->Pause();
  cluster.world().events.After(fault.length, [process] { process->Resume(); });
}

}  // namespace expertmesh::simulation
