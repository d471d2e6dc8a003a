// trigger.h: when to plan: a state machine fed with the clock.
//
//   COVER     at once when something was uncovered, also while a plan is being carried out; after
//             other changes of the membership (a worker joins, drains, is pinned) when none is
//   BALANCE   when the placement has been uneven for `settle`, at most once per
//             `rebalance_period`, never while a plan is being carried out
//
// A plan is carried out round by round: after each the next is planned at once, as if due, until a
// plan turns out empty. Threads: one.
#pragma once

#include <cstdint>
#include <optional>

#include "common/clock.h"
#include "coordinator/placement/plan.h"

namespace expertmesh {

struct TriggerOptions {
  Duration rebalance_period = std::chrono::seconds(30);  // from one plan for balance to the next
  Duration settle = std::chrono::seconds(10);
};

enum class PlanKind : uint8_t { kNone, kCover, kBalance };

// Whether the placement exceeds the targets of `options`: what OnBalance is to be told.
bool IsUneven(const BalanceSummary& summary, const PlanOptions& options);

class PlanTrigger {
 public:
  explicit PlanTrigger(TriggerOptions options) : options_(options) {}

  // Who is in the fleet, what they hold or what they are to do has changed.
  void OnMembershipChanged(bool something_is_uncovered);
  void OnBalance(bool uneven, Time now);
  // What Due said was planned; `has_round`: and its first round is being carried out now.
  void OnPlanned(PlanKind kind, bool has_round, Time now);
  // That round has ended, well or not.
  void OnRoundEnded();

  PlanKind Due(Time now) const;
  // When Due may say something other than kNone without a further event; the past if it does now.
  Time NextWakeup() const;

 private:
  Time BalanceTime() const;

  const TriggerOptions options_;
  bool uncovered_ = false;                // plan whatever else goes on
  bool changed_ = false;                  // plan when no round is out
  PlanKind under_way_ = PlanKind::kNone;  // the plan whose rounds are being carried out
  bool round_is_out_ = false;
  std::optional<Time> uneven_since_;
  std::optional<Time> last_balance_;  // when one was begun
};

}  // namespace expertmesh
