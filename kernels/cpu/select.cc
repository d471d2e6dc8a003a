#include "kernels/cpu/select.h"

#include <algorithm>
#include <bitset>

#include "common/check.h"

namespace expertmesh {
namespace {

using Marks = std::bitset<GateArgs::kExpertsMax>;

// The first of the greatest among the unmarked; every call needs at least one.
int64_t BestUnmarked(const float* scores, int64_t n, const Marks& marked) {
  int64_t best = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (!marked[i] && (best < 0 || scores[i] > scores[best])) best = i;
  }
  return best;
}

// The top-k of the groups of the best scores.
void SelectOfGroups(const float* scores, int64_t experts, const float* group_scores, int64_t groups,
                    int64_t groups_kept, int64_t top_k, int32_t* chosen) {
  Marks marked;
  if (groups_kept < groups) {
    Marks kept;
    for (int64_t i = 0; i < groups_kept; ++i) kept[BestUnmarked(group_scores, groups, kept)] = true;
    for (int64_t e = 0; e < experts; ++e) marked[e] = !kept[e / (experts / groups)];
  }
  for (int64_t i = 0; i < top_k; ++i) {
    const int64_t best = BestUnmarked(scores, experts, marked);
    marked[best] = true;
    chosen[i] = static_cast<int32_t>(best);
  }
}

}  // namespace

void SelectExperts(const float* scores, int64_t experts, int64_t groups, int64_t groups_kept,
                   int64_t top_k, int32_t* chosen) {
  CHECK(experts <= GateArgs::kExpertsMax, "the gate's scratch is on the stack");
  const int64_t size = experts / groups;
  float best_of_group[GateArgs::kExpertsMax];
  for (int64_t g = 0; g < groups; ++g) {
    best_of_group[g] = *std::max_element(scores + g * size, scores + (g + 1) * size);
  }
  SelectOfGroups(scores, experts, best_of_group, groups, groups_kept, top_k, chosen);
}

void SelectExpertsByPairs(const float* scores, int64_t experts, int64_t groups, int64_t groups_kept,
                          int64_t top_k, int32_t* chosen) {
  CHECK(experts <= GateArgs::kExpertsMax, "the gate's scratch is on the stack");
  const int64_t size = experts / groups;
  float best_two_of_group[GateArgs::kExpertsMax];
  for (int64_t g = 0; g < groups; ++g) {
    const float* first = scores + g * size;
    float best = std::max(first[0], first[1]), second = std::min(first[0], first[1]);
    for (int64_t i = 2; i < size; ++i) {
      second = std::max(second, std::min(best, first[i]));
      best = std::max(best, first[i]);
    }
    best_two_of_group[g] = best + second;
  }
  SelectOfGroups(scores, experts, best_two_of_group, groups, groups_kept, top_k, chosen);
}

int32_t IndexOf(const float* x, int64_t n, float most) {
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] == most) return static_cast<int32_t>(i);
  }
  return 0;
}

void SelectTop(const float* x, int64_t n, int64_t count, TopLogit* top) {
  int64_t filled = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (filled == count && (count == 0 || !(x[i] > top[count - 1].logprob))) continue;
    int64_t place = filled < count ? filled++ : count - 1;
    for (; place > 0 && x[i] > top[place - 1].logprob; --place) top[place] = top[place - 1];
    top[place] = {static_cast<int32_t>(i), x[i]};
  }
}

}  // namespace expertmesh
