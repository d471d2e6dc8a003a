#include "attention_worker/core/scheduler/wait_estimate.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

constexpr Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

TEST(WaitEstimate, IsUnknownUntilTheQueueHasMoved) {
  WaitEstimate estimate;
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(estimate.For(0).has_value());
    estimate.OnAdmitted(At(100 * i), true);
  }
  EXPECT_FALSE(estimate.For(0).has_value()) << "three distances";
  estimate.OnAdmitted(At(400), true);
  EXPECT_EQ(estimate.For(0), Milliseconds(100));
  EXPECT_EQ(estimate.For(9), Milliseconds(1000));
}

TEST(WaitEstimate, DoesNotCountTheTimeInWhichNobodyWaited) {
  WaitEstimate estimate;
  for (int i = 0; i < 5; ++i) estimate.OnAdmitted(At(100 * i), i < 4);
  for (int i = 0; i < 5; ++i) estimate.OnAdmitted(At(60'000 + 100 * i), true);
  EXPECT_EQ(estimate.For(0), Milliseconds(100));
}

TEST(WaitEstimate, FollowsWhatIsNew) {
  WaitEstimate estimate;
  for (int i = 0; i < 20; ++i) estimate.OnAdmitted(At(100 * i), true);
  for (int i = 1; i <= 40; ++i) estimate.OnAdmitted(At(1900 + 1000 * i), true);
  EXPECT_GT(*estimate.For(0), Milliseconds(950));
}

}  // namespace
}  // namespace expertmesh
