#include "coordinator/placement/placement.h"

#include <algorithm>

namespace expertmesh {

std::vector<ExpertSet> DealExperts(const ExpertSet& wanted,
                                   const std::vector<EmptyWorker>& workers) {
  const ExpertGrid& grid = wanted.grid();
  const int64_t count = static_cast<int64_t>(workers.size());
  std::vector<ExpertSet> dealt(workers.size(), ExpertSet(grid));
  if (count == 0) return dealt;
  std::vector<int64_t> room;
  for (const EmptyWorker& worker : workers) room.push_back(worker.room);

  std::vector<std::pair<int32_t, int32_t>> left_over;
  int64_t extra_turn = 0;  // whose turn it is to get one more
  for (int32_t layer = grid.first_layer; layer < grid.first_layer + grid.layers; ++layer) {
    std::vector<int32_t> experts;
    for (int32_t e = 0; e < grid.experts; ++e) {
      if (wanted.Contains(layer, e)) experts.push_back(e);
    }
    const int64_t base = static_cast<int64_t>(experts.size()) / count;
    const int64_t extra = static_cast<int64_t>(experts.size()) % count;
    auto next = experts.begin();
    for (int64_t w = 0; w < count; ++w) {
      const bool gets_extra = (w - extra_turn + count) % count < extra;
      for (int64_t i = 0; i < base + (gets_extra ? 1 : 0); ++i, ++next) {
        if (room[w] > 0) {
          dealt[w].Insert(layer, *next);
          --room[w];
        } else {
          left_over.emplace_back(layer, *next);
        }
      }
    }
    extra_turn = (extra_turn + extra) % count;
  }
  for (const auto& [layer, expert] : left_over) {
    const auto roomiest = std::max_element(room.begin(), room.end());
    if (*roomiest <= 0) break;
    dealt[roomiest - room.begin()].Insert(layer, expert);
    --*roomiest;
  }
  return dealt;
}

}  // namespace expertmesh
