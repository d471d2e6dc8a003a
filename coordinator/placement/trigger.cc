#include "coordinator/placement/trigger.h"

#include <algorithm>

namespace expertmesh {

bool IsUneven(const BalanceSummary& summary, const PlanOptions& options) {
  return summary.total_max_over_mean > options.total_target ||
         summary.layer_max_over_mean > options.layer_target ||
         summary.total_min_over_mean < options.idle_target;
}

void PlanTrigger::OnMembershipChanged(bool something_is_uncovered) {
  changed_ = true;
  uncovered_ = uncovered_ || something_is_uncovered;
}

void PlanTrigger::OnBalance(bool uneven, Time now) {
  if (!uneven) {
    uneven_since_.reset();
  } else if (!uneven_since_.has_value()) {
    uneven_since_ = now;
  }
}

void PlanTrigger::OnPlanned(PlanKind kind, bool has_round, Time now) {
  // Each plan covers, so a change that it saw is dealt with.
  uncovered_ = changed_ = false;
  if (kind == PlanKind::kBalance && under_way_ != PlanKind::kBalance) last_balance_ = now;
  under_way_ = has_round ? kind : PlanKind::kNone;
  round_is_out_ = has_round;
}

void PlanTrigger::OnRoundEnded() { round_is_out_ = false; }

Time PlanTrigger::BalanceTime() const {
  if (!uneven_since_.has_value()) return kNever;
  const Time settled = *uneven_since_ + options_.settle;
  return last_balance_.has_value() ? std::max(settled, *last_balance_ + options_.rebalance_period)
                                   : settled;
}

PlanKind PlanTrigger::Due(Time now) const {
  if (uncovered_) return PlanKind::kCover;
  if (round_is_out_) return PlanKind::kNone;
  if (under_way_ != PlanKind::kNone) return under_way_;
  if (changed_) return PlanKind::kCover;
  return now >= BalanceTime() ? PlanKind::kBalance : PlanKind::kNone;
}

Time PlanTrigger::NextWakeup() const {
  if (uncovered_) return Time::min();
  if (round_is_out_) return kNever;
  if (under_way_ != PlanKind::kNone || changed_) return Time::min();
  return BalanceTime();
}

}  // namespace expertmesh
