// coverage.h: what is assigned, held and published: our own command never lowers coverage.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "cluster/report.h"
#include "expert_worker/core/expert_node.h"
#include "simulation/invariants/lives.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class CoverageWatch {
 public:
  void OnCommandSent(Process& coordinator, const Command& command);
  void Inspect(Process& worker, const ExpertNode& node);
  void OnTopology(Process& coordinator, const Topology& topology, const LifeWatch& lives);

 private:
  // assigned_never_shrinks: what one coordinator wants one life of a worker to hold only grows.
  std::map<std::pair<std::string, Incarnation>, ExpertSet> assigned_;
  // held_never_shrinks: nor does what a life holds.
  std::map<std::string, ExpertSet> held_;  // by label
  // published_is_held: load, then publish.
};

}  // namespace expertmesh::simulation
