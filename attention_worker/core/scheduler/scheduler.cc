#include "attention_worker/core/scheduler/scheduler.h"

#include <algorithm>

namespace expertmesh {
namespace {

// What is left of a step.
class Room {
 public:
  explicit Room(const SchedulerLimits& limits)
      : rows_(limits.max_step_rows),
        unit_(std::max<int64_t>(1, limits.positions_per_row)),
        time_(limits.max_step_rows * unit_),
        counts_depth_(limits.positions_per_row > 0) {}

  bool some() const { return rows_ > 0; }

  void TakeDecodeRow(int32_t position) {
    --rows_;
    time_ -= TimeOf(position);
    decodes_ = true;
  }
  void BeginPrompts(int32_t max_step_rows) {
    time_ = std::max(time_, max_step_rows * unit_ / 8);
    if (!decodes_) counts_depth_ = false;  // nobody waits for the end of this step
  }
  // How many rows from `first` on, of at most `wanted`; the first prompt of a step has one at
  // least.
  int32_t TakePromptRows(int32_t first, int32_t wanted) {
    const int32_t most = std::min(wanted, rows_);
    int32_t count = 0;
    while (count < most && (is_first_ || TimeOf(first + count) <= time_)) {
      time_ -= TimeOf(first + count);
      is_first_ = false;
      ++count;
    }
    rows_ -= count;
    return count;
  }

 private:
  int64_t TimeOf(int32_t position) const { return unit_ + (counts_depth_ ? position : 0); }

  int32_t rows_;
  const int64_t unit_;  // the time of a row at position 0
  int64_t time_;
  bool counts_depth_;
  bool decodes_ = false;
  bool is_first_ = true;
};

}  // namespace

void PlanStep(absl::Span<const Progress> running, const SchedulerLimits& limits,
              std::vector<RowRange>& out, std::vector<int32_t>& prompts) {
  out.clear();
  prompts.clear();
  Room room(limits);
  for (int32_t i = 0; i < static_cast<int32_t>(running.size()); ++i) {
    if (running[i].known - running[i].cached != 1) {
      prompts.push_back(i);
    } else if (room.some()) {
      room.TakeDecodeRow(running[i].cached);
      out.push_back({i, running[i].cached, 1});
    }
  }
  std::sort(prompts.begin(), prompts.end(), [&](int32_t a, int32_t b) {
    return running[a].level != running[b].level ? running[a].level > running[b].level : a < b;
  });
  room.BeginPrompts(limits.max_step_rows);
  for (int32_t i : prompts) {
    const int32_t wanted = std::min(running[i].known - running[i].cached, limits.prefill_chunk);
    const int32_t count = room.TakePromptRows(running[i].cached, wanted);
    if (count == 0) break;
    out.push_back({i, running[i].cached, count});
  }
}

}  // namespace expertmesh
