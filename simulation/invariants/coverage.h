// coverage.h: what is assigned, held and published: our own command never lowers coverage.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "cluster/report.h"
#include "coordinator/membership/membership.h"
#include "expert_worker/core/expert_node.h"
#include "simulation/invariants/lives.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class CoverageWatch {
 public:
  // `control` is the coordinator's that sends it.
  void OnCommandSent(Process& coordinator, const Membership& control, const Command& command);
  void OnCommandArrives(Process& worker, const Command& command);
  void Inspect(Process& worker, const ExpertNode& node);
  void OnTopology(Process& coordinator, const Topology& topology, const LifeWatch& lives);

 private:
  // released_when_relieved: a worker that drains is let go when it holds nothing, or nobody asks.
  void CheckReleased(Process& coordinator, const Membership& control, const Command& command);
  void CheckTaken(Process& coordinator, const Membership& control, const WorkerRecord& from,
                  const ExpertSet& taken);

  // unloads_only_what_others_hold: what a command takes from a worker, others are published with,
  // and it is not.
  // unloads_only_what_nobody_asks_for: every attention worker that control has not lost works by a
  // topology that does not list the worker with it.
  std::map<std::pair<std::string, Incarnation>, ExpertSet> assigned_;  // by coordinator and life
  std::map<Epoch, Topology> published_;
  // held_shrinks_by_command: a life keeps what it holds until it is told otherwise.
  struct Held {
    ExpertSet holds;
    ExpertSet told;  // what it may hold: all that the commands since it last did lacked nothing of
  };
  std::map<std::string, Held> held_;  // by label
  // published_is_held: load, then publish.
};

}  // namespace expertmesh::simulation
