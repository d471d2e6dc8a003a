// waiting_order.h: who of those that wait is next, and who has to go: pure functions.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "common/clock.h"

namespace expertmesh {

// A waiting request is one level of priority higher for each of these that it has waited: so nobody
// waits for ever.
inline constexpr Duration kAgeingPeriod = std::chrono::seconds(1);

struct Waiting {
  bool preempted = false;  // it ran before
  int32_t priority = 0;
  Time arrived{};
  int64_t served = 0;  // rows that its caller got so far (fair_share.h)
  uint64_t order = 0;  // of arrival, unique
};

// Preempted ones go first, in order of arrival. Then the higher level of priority; in one level the
// caller that got less; of one caller the older.
bool GoesBefore(const Waiting& a, const Waiting& b, Time now);

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
