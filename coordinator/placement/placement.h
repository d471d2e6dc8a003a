// placement.h: who is to hold which experts: a pure function, deterministic.
//
// Experts that nobody has are dealt to workers that have none yet: in each layer, in order of
// number, in runs as equal as can be, and the worker that gets one more changes from layer to
// layer, so that totals are equal too. A worker gets no more than fits its memory; what fits
// nowhere stays uncovered, and the caller says so.
//
//   3 layers x 8 experts, workers a, b, c:   layer 0: a 0-2, b 3-5, c 6-7
//                                            layer 1: a 0-2, b 3-4, c 5-7
//                                            layer 2: a 0-1, b 2-4, c 5-7
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/expert_set.h"

namespace expertmesh {

struct EmptyWorker {
  std::string name;
  int64_t room = 0;  // experts that fit its memory
};

// One set per worker, in their order. Sets do not overlap.
std::vector<ExpertSet> DealExperts(const ExpertSet& wanted,
                                   const std::vector<EmptyWorker>& workers);

}  // namespace expertmesh
