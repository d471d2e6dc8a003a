// Messages of earlier channels come out of the newer ones between the same two names, also after
// one of them was started anew (network/limbo.h).
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"

namespace expertmesh::simulation {

void InjectEcho(Cluster& cluster, const FaultPlan& fault) {
  Network& network = cluster.network();
  network.set_stale(0.5 * fault.strength);
  cluster.world().events.After(fault.length, [&network] { network.set_stale(0); });
}

}  // namespace expertmesh::simulation
