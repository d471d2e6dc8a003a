// lives.h: one life per incarnation, and only a doubled name is fenced.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "cluster/report.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class LifeWatch {
 public:
  void OnStarted(const Process& process);
  void OnReport(Process& worker, const Report& report);
  void OnCommandArrives(Process& worker, const Command& command);
  // The life that has this incarnation of a name; empty when it is not known.
  std::string LabelOf(const std::string& name, Incarnation incarnation) const;

 private:
  // one_life_per_incarnation
  std::map<std::pair<std::string, Incarnation>, std::string> labels_;
  // fenced_only_when_doubled: a life is told that a newer one has its name only when two lives of
  // that name were there at one time.
  std::map<std::string, std::set<const Process*>> running_;  // by name
  std::set<std::string> doubled_;                            // labels
};

}  // namespace expertmesh::simulation
