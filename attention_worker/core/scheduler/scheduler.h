// scheduler.h: which rows make the next step: a pure function of what runs.
//
// First one decode row for every sequence that has its prompt behind it, then prompt chunks of the
// others, oldest first, until the step is full. The cut steers speed only: rows are independent, so
// tokens do not depend on it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace expertmesh {

struct SchedulerLimits {
  int32_t max_step_rows = 512;
  int32_t prefill_chunk = 256;  // rows of one sequence in one step
};

// A running sequence, as far as planning goes: positions [0, cached) are in the latent cache,
// tokens [0, known) are known; known > cached.
struct Progress {
  int32_t cached = 0;
  int32_t known = 0;
};

// Rows [first, first + count) of positions of sequence `index` of the input.
struct RowRange {
  int32_t index = 0;
  int32_t first = 0;
  int32_t count = 0;
};

// `running` in order of arrival: so the oldest always has a row; ranges come out decode rows first.
// `out` is cleared first.
void PlanStep(absl::Span<const Progress> running, const SchedulerLimits& limits,
              std::vector<RowRange>& out);

}  // namespace expertmesh
