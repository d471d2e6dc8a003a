#include "coordinator/placement/trigger.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using std::chrono::seconds;

Time At(int second) { return Time(seconds(1000 + second)); }

TEST(PlanTrigger, HasNothingToDoAtFirst) {
  const PlanTrigger trigger({});
  EXPECT_EQ(trigger.Due(At(0)), PlanKind::kNone);
  EXPECT_EQ(trigger.NextWakeup(), kNever);
}

TEST(PlanTrigger, CoversAtOnceEvenWhileARoundIsOut) {
  PlanTrigger trigger({});
  trigger.OnPlanned(PlanKind::kBalance, true, At(0));
  EXPECT_EQ(trigger.Due(At(1)), PlanKind::kNone);
  trigger.OnMembershipChanged(false);
  EXPECT_EQ(trigger.Due(At(1)), PlanKind::kNone) << "a worker that joins can wait";
  trigger.OnMembershipChanged(true);
  EXPECT_EQ(trigger.Due(At(1)), PlanKind::kCover);
  EXPECT_EQ(trigger.NextWakeup(), Time::min());
}

TEST(PlanTrigger, GoesOnRoundByRoundUntilAPlanIsEmpty) {
  PlanTrigger trigger({});
  trigger.OnMembershipChanged(false);
  ASSERT_EQ(trigger.Due(At(0)), PlanKind::kCover);
  trigger.OnPlanned(PlanKind::kCover, true, At(0));
  EXPECT_EQ(trigger.Due(At(50)), PlanKind::kNone);
  EXPECT_EQ(trigger.NextWakeup(), kNever);
  trigger.OnRoundEnded();
  EXPECT_EQ(trigger.Due(At(50)), PlanKind::kCover);
  trigger.OnPlanned(PlanKind::kCover, false, At(50));
  EXPECT_EQ(trigger.Due(At(99)), PlanKind::kNone);
}

TEST(PlanTrigger, BalancesWhenUnevenForAWhile) {
  PlanTrigger trigger({});
  trigger.OnBalance(true, At(0));
  trigger.OnBalance(true, At(5));
  EXPECT_EQ(trigger.NextWakeup(), At(10));
  EXPECT_EQ(trigger.Due(At(9)), PlanKind::kNone);
  EXPECT_EQ(trigger.Due(At(10)), PlanKind::kBalance);
  trigger.OnBalance(false, At(11));
  EXPECT_EQ(trigger.Due(At(12)), PlanKind::kNone);
  trigger.OnBalance(true, At(13));
  EXPECT_EQ(trigger.Due(At(22)), PlanKind::kNone);
}

TEST(PlanTrigger, BalancesAtMostOncePerPeriodCountedFromThePlanNotItsRounds) {
  PlanTrigger trigger({});
  trigger.OnBalance(true, At(0));
  trigger.OnPlanned(PlanKind::kBalance, true, At(10));
  trigger.OnRoundEnded();
  EXPECT_EQ(trigger.Due(At(15)), PlanKind::kBalance) << "its next round";
  trigger.OnPlanned(PlanKind::kBalance, false, At(15));
  EXPECT_EQ(trigger.Due(At(39)), PlanKind::kNone);
  EXPECT_EQ(trigger.NextWakeup(), At(40));
  EXPECT_EQ(trigger.Due(At(40)), PlanKind::kBalance);
}

TEST(PlanTrigger, NeverBalancesWhileARoundIsOut) {
  PlanTrigger trigger({});
  trigger.OnPlanned(PlanKind::kCover, true, At(0));
  trigger.OnBalance(true, At(0));
  EXPECT_EQ(trigger.Due(At(100)), PlanKind::kNone);
  EXPECT_EQ(trigger.NextWakeup(), kNever);
}

TEST(IsUneven, LooksAtEachTarget) {
  const PlanOptions options;
  BalanceSummary even;
  EXPECT_FALSE(IsUneven(even, options));
  BalanceSummary uneven = even;
  uneven.total_max_over_mean = 1.06;
  EXPECT_TRUE(IsUneven(uneven, options));
  uneven = even;
  uneven.layer_max_over_mean = 1.06;
  EXPECT_TRUE(IsUneven(uneven, options));
  uneven = even;
  uneven.total_min_over_mean = 0.7;
  EXPECT_TRUE(IsUneven(uneven, options));
}

}  // namespace
}  // namespace expertmesh
