#include "attention_worker/core/experts/expert_classes.h"

#include <algorithm>

namespace expertmesh {

bool ExpertClasses::Update(const Topology& topology) {
  const ExpertGrid& grid = topology.model.grid;
  if (!(grid == grid_)) {
    grid_ = grid;
    of_expert_.assign(grid.size(), -1);
  }
  bool changed = false;
  for (const Member& member : topology.members) {
    if (member.role != WorkerRole::kExpert || !Serves(member.state)) continue;
    auto found = std::find(known_.begin(), known_.end(), member.compute_class);
    if (found == known_.end()) found = known_.insert(found, member.compute_class);
    const auto its_class = static_cast<int16_t>(found - known_.begin());
    auto of_expert = of_expert_.begin();
    for (int32_t layer = grid.first_layer; layer < grid.first_layer + grid.layers; ++layer) {
      for (int32_t expert = 0; expert < grid.experts; ++expert, ++of_expert) {
        if (!member.holds.Contains(layer, expert)) continue;
        changed |= *of_expert >= 0 && *of_expert != its_class;
        *of_expert = its_class;
      }
    }
  }
  return changed;
}

}  // namespace expertmesh
