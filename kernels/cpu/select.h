// select.h: choices among scores by comparison, and no other arithmetic than one sum. Ties go to
// the lower index. A NaN never compares greater, so every answer is a valid index whatever the
// scores are.
#pragma once

#include <cstdint>

#include "kernels/ops.h"

namespace expertmesh {

// The gate's choice for one row: the best `groups_kept` of `groups` equal groups by their highest
// score, then the best `top_k` experts among those, by score descending. scores: [experts].
void SelectExperts(const float* scores, int64_t experts, int64_t groups, int64_t groups_kept,
                   int64_t top_k, int32_t* chosen);

// The same by the sum of each group's two highest scores; groups are of two experts or more.
void SelectExpertsByPairs(const float* scores, int64_t experts, int64_t groups, int64_t groups_kept,
                          int64_t top_k, int32_t* chosen);

// The first index of the value `most`; 0 where no element equals it.
int32_t IndexOf(const float* x, int64_t n, float most);

// The `count` greatest of x, descending, into top[i].id and, as it stands, top[i].logprob.
void SelectTop(const float* x, int64_t n, int64_t count, TopLogit* top);

}  // namespace expertmesh
