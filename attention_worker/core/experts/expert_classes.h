// expert_classes.h: which compute class has answered for each expert.
//
// A sequence's bits belong to the classes that computed its rows. When the workers that hold an
// expert are of another class than those before them, who began with the old class cannot go on:
// its next token would be neither class's.
#pragma once

#include <vector>

#include "cluster/topology.h"

namespace expertmesh {

class ExpertClasses {
 public:
  // Takes over what `topology` says. True if an expert that had a class has another one now. One
  // that nobody holds keeps its class until somebody does.
  bool Update(const Topology& topology);

 private:
  ExpertGrid grid_;
  std::vector<ComputeClass> known_;  // few: every class that was seen
  std::vector<int16_t> of_expert_;   // [grid.size()] index into known_, or -1
};

}  // namespace expertmesh
