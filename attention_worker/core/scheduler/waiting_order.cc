#include "attention_worker/core/scheduler/waiting_order.h"

#include <algorithm>
#include <tuple>

namespace expertmesh {

namespace {

// Of one caller's.
bool GoesBeforeOwn(const Waiting& a, const Waiting& b, Time now) {
  const auto key = [now](const Waiting& w) {
    return std::tuple(-LevelOf(w.priority, w.arrived, now), w.order);
  };
  return key(a) < key(b);
}

// Of two callers'.
bool GoesBeforeOther(const Waiting& a, const Waiting& b, Time now) {
  const auto key = [now](const Waiting& w) {
    const Time since = std::max(w.arrived, w.caller_last_ran);
    return std::tuple(-LevelOf(w.priority, since, now), w.caller_got, w.order);
  };
  return key(a) < key(b);
}

}  // namespace

int64_t LevelOf(int32_t priority, Time since, Time now) {
  return priority + std::max(Duration::zero(), now - since) / kAgeingPeriod;
}

int32_t ChooseNext(absl::Span<const Waiting> waiting, Time now, std::vector<int32_t>& heads) {
  int32_t preempted = -1;
  heads.clear();  // of each caller two: whom it sends, and by whose level
  for (int32_t i = 0; i < static_cast<int32_t>(waiting.size()); ++i) {
    const Waiting& w = waiting[i];
    if (w.preempted && (preempted < 0 || w.order < waiting[preempted].order)) preempted = i;
    const size_t place = 2 * static_cast<size_t>(w.caller);
    if (heads.size() <= place) heads.resize(place + 2, -1);
    int32_t& sent = heads[place];
    int32_t& level = heads[place + 1];
    if (sent < 0 || GoesBeforeOwn(w, waiting[sent], now)) sent = i;
    if (level < 0 || GoesBeforeOther(w, waiting[level], now)) level = i;
  }
  if (preempted >= 0) return preempted;
  size_t next = heads.size();
  for (size_t place = 0; place < heads.size(); place += 2) {
    if (heads[place] < 0) continue;
    if (next == heads.size() ||
        GoesBeforeOther(waiting[heads[place + 1]], waiting[heads[next + 1]], now)) {
      next = place;
    }
  }
  return next == heads.size() ? -1 : heads[next];
}

// Callers of one priority take turns: of another's requests no more go ahead than of one's own,
// and one.
int64_t CountAhead(absl::Span<const Waiting> waiting, const Waiting& next, Time now,
                   std::vector<int32_t>& counts) {
  counts.clear();
  int64_t ahead = 0;
  int32_t own = 0;
  for (const Waiting& w : waiting) {
    if (w.preempted) {
      ++ahead;
    } else if (w.caller == next.caller) {
      own += GoesBeforeOwn(w, next, now) ? 1 : 0;
    } else if (w.priority > next.priority) {
      ++ahead;
    } else if (w.priority == next.priority) {
      if (counts.size() <= static_cast<size_t>(w.caller)) counts.resize(w.caller + 1, 0);
      ++counts[w.caller];
    }
  }
  for (int32_t count : counts) ahead += std::min(count, own + 1);
  return ahead + own;
}

int32_t ChooseVictim(absl::Span<const Holder> running) {
  const auto oldest =
      std::min_element(running.begin(), running.end(),
                       [](const Holder& a, const Holder& b) { return a.order < b.order; });
  const Holder* victim = nullptr;
  const auto key = [](const Holder& holder) {
    const int64_t level = holder.priority + int64_t{kPreemptionLevels} * holder.preemptions;
    return std::pair(level, -static_cast<int64_t>(holder.order));
  };
  for (const Holder& holder : running) {
    if (&holder == &*oldest) continue;
    if (victim == nullptr || key(holder) < key(*victim)) victim = &holder;
  }
  return victim == nullptr ? -1 : static_cast<int32_t>(victim - running.data());
}

}  // namespace expertmesh
