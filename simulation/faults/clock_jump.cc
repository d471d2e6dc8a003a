// One process's clock leaps ahead: a machine that slept. Clocks of this kind never go back.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kLongestLeap = std::chrono::seconds(20);

}  // namespace

void InjectClockJump(Cluster& cluster, const FaultPlan& fault) {
  Process* process = cluster.Newest(fault.target);
  if (process == nullptr) return;
  cluster.world().clock_jumped = true;
  process->JumpClock(cluster.world().process_chance.Skewed(Duration(0), kLongestLeap));
}

}  // namespace expertmesh::simulation
