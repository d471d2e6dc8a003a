#include "attention_worker/core/scheduler/scheduler.h"

#include <algorithm>

namespace expertmesh {

void PlanStep(absl::Span<const Progress> running, const SchedulerLimits& limits,
              std::vector<RowRange>& out) {
  out.clear();
  int32_t room = limits.max_step_rows;
  for (size_t i = 0; i < running.size() && room > 0; ++i) {
    if (running[i].known - running[i].cached != 1) continue;
    out.push_back({static_cast<int32_t>(i), running[i].cached, 1});
    --room;
  }
  for (size_t i = 0; i < running.size() && room > 0; ++i) {
    const int32_t left = running[i].known - running[i].cached;
    if (left <= 1) continue;
    const int32_t count = std::min({left, limits.prefill_chunk, room});
    out.push_back({static_cast<int32_t>(i), running[i].cached, count});
    room -= count;
  }
}

}  // namespace expertmesh
