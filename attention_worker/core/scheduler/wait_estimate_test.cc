#include "attention_worker/core/scheduler/wait_estimate.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

constexpr Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

TEST(WaitEstimate, IsUnknownUntilTheQueueHasMoved) {
  WaitEstimate estimate;
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(estimate.For(At(100 * i), 0).has_value());
    estimate.OnAdmitted(At(100 * i), true);
  }
  EXPECT_FALSE(estimate.For(At(300), 0).has_value()) << "three distances";
  estimate.OnAdmitted(At(400), true);
  EXPECT_EQ(estimate.For(At(400), 0), Milliseconds(100));
  EXPECT_EQ(estimate.For(At(400), 9), Milliseconds(1000));
  EXPECT_TRUE(estimate.For(At(10'400), 0).has_value());
  EXPECT_FALSE(estimate.For(At(10'401), 0).has_value()) << "it has not moved lately";
}

TEST(WaitEstimate, DoesNotCountTheTimeInWhichNobodyWaited) {
  WaitEstimate estimate;
  for (int i = 0; i < 5; ++i) estimate.OnAdmitted(At(100 * i), i < 4);
  for (int i = 0; i < 5; ++i) estimate.OnAdmitted(At(60'000 + 100 * i), true);
  EXPECT_EQ(estimate.For(At(60'400), 0), Milliseconds(100));
  estimate.OnQueueEmpty();  // the last ones went away
  estimate.OnAdmitted(At(3'600'000), false);
  EXPECT_FALSE(estimate.For(At(3'600'000), 0).has_value());
  for (int i = 1; i < 3; ++i) estimate.OnAdmitted(At(3'600'000 + 100 * i), true);
  EXPECT_EQ(estimate.For(At(3'600'200), 0), Milliseconds(100)) << "the hour does not count";
}

TEST(WaitEstimate, FollowsWhatIsNew) {
  WaitEstimate estimate;
  for (int i = 0; i < 20; ++i) estimate.OnAdmitted(At(100 * i), true);
  for (int i = 1; i <= 40; ++i) estimate.OnAdmitted(At(1900 + 1000 * i), true);
  EXPECT_GT(*estimate.For(At(41'900), 0), Milliseconds(950));
}

}  // namespace
}  // namespace expertmesh
