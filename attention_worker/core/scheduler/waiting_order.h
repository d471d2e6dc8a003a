// waiting_order.h: who of those that wait is next, and who has to go: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/clock.h"

namespace expertmesh {

// A waiting request is one level of priority higher for each of these that it has waited: so nobody
// waits for ever.
inline constexpr Duration kAgeingPeriod = std::chrono::seconds(1);

// The level of a request of this priority that has waited since then.
int64_t LevelOf(int32_t priority, Time since, Time now);

struct Waiting {
  bool preempted = false;  // it ran before
  int32_t priority = 0;
  Time arrived{};
  uint64_t order = 0;      // of arrival, unique
  int32_t caller = 0;      // whose it is: a small number (fair_share.h)
  Time caller_last_ran{};  // when a row of its caller was last computed
  int64_t caller_got = 0;  // rows so far
};

// Which of them is next; -1: there are none. Preempted ones first, in order of arrival. Then it is
// the turn of the caller that has the highest level, in one level of the one that got less; but
// for this a caller does not age while it has what runs: a hundred requests that wait for one
// another are not urgent. Whom it sends is its own affair: the highest level with all its age, of
// one level the older. `heads` is scratch.
int32_t ChooseNext(absl::Span<const Waiting> waiting, Time now, std::vector<int32_t>& heads);

// About how many will have gone before `next`, which comes now, when it is its turn.
int64_t CountAhead(absl::Span<const Waiting> waiting, const Waiting& next, Time now,
                   std::vector<int32_t>& counts);

// Each preemption makes the next one less likely, as so many levels of priority would.
inline constexpr int32_t kPreemptionLevels = 25;

struct Holder {
  int32_t priority = 0;
  int32_t preemptions = 0;
  uint64_t order = 0;
};

// Which of the running sequences gives its blocks back when another must grow: the lowest priority,
// of these the youngest; never the oldest of all, so that the whole goes on. -1: there is no other.
int32_t ChooseVictim(absl::Span<const Holder> running);

}  // namespace expertmesh
