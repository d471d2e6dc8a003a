// monitor.h: where the parts of a simulated cluster show what they do, to be held against the
// invariants. One class per concern; README.md lists all of them by name.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "attention_worker/core/attention_node.h"
#include "cluster/report.h"
#include "expert_worker/core/expert_node.h"
#include "simulation/invariants/coverage.h"
#include "simulation/invariants/lives.h"
#include "simulation/invariants/terms.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class Monitor {
 public:
  void OnStarted(const Process& process) { lives_.OnStarted(process); }

  const LifeWatch& lives() const { return lives_; }

  // Between workers and control.
  void OnReport(Process& worker, const Report& report);
  void OnCommandSent(Process& coordinator, const Membership& control, const Command& command);
  void OnCommandArrives(Process& worker, Process& coordinator, const Command& command);
  void OnTopology(Process& coordinator, const Topology& topology);

  // A combine with this call id has ended a call.
  void OnCombineApplied(Process& attention, const CallId& call);

  // After every event of the process.
  void InspectAttention(Process& process, const AttentionNode& node);
  void InspectExpert(Process& process, const ExpertNode& node);

 private:
  void CheckRetries(Process& process, const Dispatcher& dispatcher);

  TermWatch terms_;
  LifeWatch lives_;
  CoverageWatch coverage_;
  std::set<std::pair<std::string, CallId>> applied_;
  std::map<std::string, Time> begun_;  // by attention worker's label
};

}  // namespace expertmesh::simulation
