// fleet.h: what placement is decided on, as values: the model's experts, their loads, the workers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/expert_set.h"

namespace expertmesh {

// How the gate picks experts. Group g is the experts [g * E / groups, (g + 1) * E / groups).
struct Routing {
  int32_t groups = 1;         // 1: the model has none
  int32_t chosen_groups = 1;  // that a token may use in one layer
  int32_t top_k = 1;          // experts of a token in one layer
};

// One expert worker that lives. Of its sets, one of another grid than the model's counts as empty.
struct PlacementWorker {
  std::string name;           // no other has it
  int64_t room = 0;           // experts that fit its memory, what it is to leave free subtracted
  int32_t compute_class = 0;  // workers of another class compute other bits
  ExpertSet holds;            // loaded: it answers for these
  ExpertSet loading;          // commanded and on the way: they occupy its memory already
  ExpertSet pinned;           // it keeps or gets these, as far as they fit
  bool cordoned = false;      // gets nothing new
  bool draining = false;      // is to be emptied; meanwhile it answers. Stronger than `pinned`
};

struct PlacementInput {
  ExpertGrid grid;
  Routing routing;
  uint64_t expert_bytes = 0;
  // Tokens per second of each (layer, expert): [grid.layers * grid.experts], layer by layer. Empty
  // or all zero: not known, all experts count the same. What is negative or not finite counts as 0.
  std::vector<double> loads;
  std::vector<PlacementWorker> workers;  // in any order
};

}  // namespace expertmesh
