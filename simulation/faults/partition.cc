// Two names that cannot reach each other: one way for a while, or all at once and then again.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"

namespace expertmesh::simulation {

void InjectPartition(Cluster& cluster, const FaultPlan& fault) {
  Network& network = cluster.network();
  const HostId from = network.HostOf(fault.target);
  const HostId to = network.HostOf(fault.other);
  const bool both = fault.strength > 0.7;
  network.Block(from, to);
  if (both) network.Block(to, from);
  cluster.world().events.After(fault.length, [&network, from, to, both] {
    network.Unblock(from, to);
    if (both) network.Unblock(to, from);
  });
}

void InjectReset(Cluster& cluster, const FaultPlan& fault) {
  Network& network = cluster.network();
  network.BreakBetween(network.HostOf(fault.target), network.HostOf(fault.other));
}

}  // namespace expertmesh::simulation
