// replicas.h: how many workers are to hold each expert of one layer.
//
//   loads 6 2 1 1, four workers, two replicas to give:  3 1 1 1
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace expertmesh {

struct ReplicaLimits {
  int64_t slots = 0;       // copies in all, the first of each expert included
  int32_t workers = 0;     // no expert has more replicas
  double hot_share = 0;    // a replica that has no more load than this needs no help
  int32_t favourite = -1;  // this expert gets its second replica before all others
};

// One for each expert, then replicas one by one to the expert with the largest load per replica
// (of equal ones the first), until slots run out or none is hot.
std::vector<int32_t> CountReplicas(absl::Span<const double> loads, const ReplicaLimits& limits);

}  // namespace expertmesh
