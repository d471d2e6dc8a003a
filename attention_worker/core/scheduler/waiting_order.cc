#include "attention_worker/core/scheduler/waiting_order.h"

#include <algorithm>
#include <tuple>

namespace expertmesh {

bool GoesBefore(const Waiting& a, const Waiting& b, Time now) {
  if (a.preempted || b.preempted) {
    return a.preempted && b.preempted ? a.order < b.order : a.preempted;
  }
  const auto level = [now](const Waiting& w) {
    return w.priority + (now - w.arrived) / kAgeingPeriod;
  };
  const auto key = [&](const Waiting& w) { return std::tuple(-level(w), w.served, w.order); };
  return key(a) < key(b);
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
