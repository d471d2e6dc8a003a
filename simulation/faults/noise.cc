// Loss, delay, reorder, duplicates, stale messages: the quality of one kind of traffic, for a
// while.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"

namespace expertmesh::simulation {
namespace {

void Set(Cluster& cluster, Traffic traffic, const Quality& quality, Duration length) {
  cluster.network().quality(traffic) = quality;
  cluster.world().events.After(
      length, [&cluster, traffic] { cluster.network().quality(traffic) = Quality(); });
}

}  // namespace

void InjectDataNoise(Cluster& cluster, const FaultPlan& fault) {
  Random& chance = cluster.world().network_chance;
  Quality quality;
  if (chance.Chance(0.4)) quality.loss = 0.05 * fault.strength;
  if (chance.Chance(0.5)) quality.duplicate = 0.3 * fault.strength;
  if (chance.Chance(0.5)) quality.slow = 0.2 * fault.strength;
  quality.slow_most = fault.harsh ? std::chrono::seconds(2) : std::chrono::milliseconds(20);
  Set(cluster, Traffic::kData, quality, fault.length);
}

void InjectControlNoise(Cluster& cluster, const FaultPlan& fault) {
  Random& chance = cluster.world().network_chance;
  Quality quality;
  quality.reorder = true;
  if (chance.Chance(0.5)) quality.broken = 0.5 * fault.strength;
  if (chance.Chance(0.5)) quality.loss = 0.7 * fault.strength;
  if (chance.Chance(0.5)) quality.duplicate = 0.5 * fault.strength;
  if (chance.Chance(0.5)) quality.slow = 0.8 * fault.strength;
  quality.slow_most = std::chrono::seconds(2);
  Set(cluster, Traffic::kControl, quality, fault.length);
}

void InjectClientNoise(Cluster& cluster, const FaultPlan& fault) {
  Quality quality;
  quality.broken = 0.05 * fault.strength;
  quality.slow = 0.3 * fault.strength;
  quality.slow_most = std::chrono::milliseconds(500);
  Set(cluster, Traffic::kClient, quality, fault.length);
}

}  // namespace expertmesh::simulation
