#include "attention_worker/core/scheduler/waiting_order.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace expertmesh {
namespace {

constexpr Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

TEST(GoesBefore, PreemptedOnesFirstAndTheOlderOfThem) {
  const Waiting preempted{.preempted = true, .priority = -100, .arrived = At(0), .order = 5};
  const Waiting urgent{.priority = 100, .arrived = At(0), .order = 1};
  const Waiting older{.preempted = true, .priority = -100, .arrived = At(0), .order = 4};
  EXPECT_TRUE(GoesBefore(preempted, urgent, At(0)));
  EXPECT_FALSE(GoesBefore(urgent, preempted, At(0)));
  EXPECT_TRUE(GoesBefore(older, preempted, At(0)));
}

TEST(GoesBefore, PriorityThenTheCallerWithLessThenAge) {
  const Waiting base{.priority = 0, .arrived = At(0), .served = 10, .order = 1};
  Waiting other = base;
  other.order = 2;
  EXPECT_TRUE(GoesBefore(base, other, At(0)));
  other.served = 9;
  EXPECT_TRUE(GoesBefore(other, base, At(0)));
  other.priority = -1;
  EXPECT_TRUE(GoesBefore(base, other, At(0)));
}

TEST(GoesBefore, ASecondOfWaitingIsALevel) {
  const Waiting old{.priority = 0, .arrived = At(0), .order = 1};
  const Waiting urgent{.priority = 3, .arrived = At(3000), .order = 2};
  EXPECT_TRUE(GoesBefore(urgent, old, At(3000 - 1)));
  EXPECT_TRUE(GoesBefore(old, urgent, At(3000))) << "equal levels: the older";
  EXPECT_TRUE(GoesBefore(old, urgent, At(60'000)));
}

TEST(ChooseVictim, IsTheLowestPriorityThenTheYoungestNeverTheOldest) {
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{}), -1);
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{0, 0, 7}}), -1);
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{-9, 0, 1}, {0, 0, 2}, {0, 0, 3}}), 2);
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{0, 0, 1}, {-1, 0, 2}, {0, 0, 3}}), 1);
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{0, 0, 3}, {5, 0, 2}, {9, 0, 1}}), 0);
}

TEST(ChooseVictim, WasNotPreemptedLatelyIfAnotherCanBe) {
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{0, 0, 1}, {0, 0, 2}, {0, 1, 3}}), 1);
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{0, 0, 1}, {20, 0, 2}, {0, 1, 3}}), 1);
  EXPECT_EQ(ChooseVictim(std::vector<Holder>{{0, 0, 1}, {30, 0, 2}, {0, 1, 3}}), 2);
}

}  // namespace
}  // namespace expertmesh
