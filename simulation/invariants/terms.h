// terms.h: one owner per term, and terms never go back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "cluster/report.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class TermWatch {
 public:
  void OnReport(Process& worker, const Report& report);
  void OnCommandArrives(Process& worker, Process& coordinator, const Command& command);

 private:
  // terms_never_go_back: neither the highest term that a life of a worker has seen, nor the epoch
  // that it works by, nor the number of its reports.
  struct Seen {
    uint64_t term = 0;
    Epoch epoch;
    uint64_t number = 0;
  };
  std::map<std::string, Seen> seen_;  // by the worker's label

  // one_owner_per_term: of the commands that a life of a worker obeys, those of one term come from
  // one life of a coordinator.
  std::map<std::string, uint64_t> obeys_;  // the highest term of a command, by the worker's label
  std::map<std::pair<std::string, uint64_t>, std::string> owners_;  // (worker, term) -> coordinator
};

}  // namespace expertmesh::simulation
