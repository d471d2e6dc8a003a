// scheduler.h: which rows make the next step: a pure function of what runs.
//
// First one decode row for every sequence that has its prompt behind it, then prompt chunks of the
// others, the higher level of priority first and of these the older, until the step is full. The
// cut steers speed only: rows are independent, so tokens do not depend on it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace expertmesh {

struct SchedulerLimits {
  int32_t max_step_rows = 512;
  int32_t prefill_chunk = 256;  // rows of one sequence in one step
  // Attending to so many positions takes as long as all else of a row; 0: as good as no time. With
  // it, a step in which sequences decode takes no longer for the depth of the prompts in it: a row
  // at position p counts as 1 + p / positions_per_row rows. Prompts have an eighth of the step
  // whatever decodes, so that they go on.
  int64_t positions_per_row = 0;
};

// A running sequence, as far as planning goes: positions [0, cached) are in the latent cache,
// tokens [0, known) are known; known > cached.
struct Progress {
  int32_t cached = 0;
  int32_t known = 0;
  int64_t level = 0;  // of priority, aged (waiting_order.h)
};

// Rows [first, first + count) of positions of sequence `index` of the input.
struct RowRange {
  int32_t index = 0;
  int32_t first = 0;
  int32_t count = 0;
};

// `running` in order of arrival; ranges come out decode rows first. `out` and `prompts`, which is
// scratch, are cleared first.
void PlanStep(absl::Span<const Progress> running, const SchedulerLimits& limits,
              std::vector<RowRange>& out, std::vector<int32_t>& prompts);

}  // namespace expertmesh
