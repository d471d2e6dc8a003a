// SIGTERM to a worker: it asks to be relieved of what it has, and exits when it is; or it is killed
// when that takes too long. Its supervisor starts it again.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"
#include "simulation/roles/worker_process.h"

namespace expertmesh::simulation {

void InjectDrain(Cluster& cluster, const FaultPlan& fault) {
  auto* worker = dynamic_cast<WorkerProcess*>(cluster.Newest(fault.target));
  if (worker == nullptr) return;
  worker->Post([worker] { worker->Drain(); });
  cluster.world().events.After(fault.length, [&cluster, worker, name = fault.target] {
    if (!worker->alive()) return;
    cluster.Kill(worker, /*silent=*/false);
    if (cluster.Newest(name) == nullptr) cluster.Launch(name, /*moved=*/false);
  });
}

}  // namespace expertmesh::simulation
