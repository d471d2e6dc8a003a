#include "attention_worker/core/scheduler/waiting_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace expertmesh {
namespace {

constexpr Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

std::vector<uint64_t> OrderOf(std::vector<Waiting> waiting, Time now) {
  std::vector<uint64_t> orders;
  std::vector<int32_t> scratch{7};
  while (!waiting.empty()) {
    const int32_t next = ChooseNext(waiting, now, scratch);
    orders.push_back(waiting[next].order);
    waiting.erase(waiting.begin() + next);
  }
  return orders;
}

using testing::ElementsAre;

TEST(ChooseNext, OfNobodyIsNobody) {
  std::vector<int32_t> scratch;
  EXPECT_EQ(ChooseNext({}, At(0), scratch), -1);
}

TEST(ChooseNext, PreemptedOnesFirstAndTheOlderOfThem) {
  EXPECT_THAT(
      OrderOf({{.priority = 100, .arrived = At(0), .order = 1},
               {.preempted = true, .priority = -100, .arrived = At(0), .order = 5},
               {.preempted = true, .priority = -100, .arrived = At(0), .order = 4, .caller = 1}},
              At(0)),
      ElementsAre(4, 5, 1));
}

TEST(ChooseNext, PriorityThenTheCallerWithLessThenAge) {
  EXPECT_THAT(OrderOf({{.priority = -1, .order = 1, .caller = 0, .caller_got = 0},
                       {.priority = 0, .order = 2, .caller = 1, .caller_got = 10},
                       {.priority = 0, .order = 3, .caller = 2, .caller_got = 9},
                       {.priority = 0, .order = 4, .caller = 1, .caller_got = 10}},
                      Time{}),
              ElementsAre(3, 2, 4, 1));
}

TEST(ChooseNext, ASecondOfWaitingIsALevel) {
  const std::vector<Waiting> waiting{{.priority = 0, .arrived = At(0), .order = 1},
                                     {.priority = 3, .arrived = At(3000), .order = 2}};
  EXPECT_THAT(OrderOf(waiting, At(2999)), ElementsAre(2, 1));
  EXPECT_THAT(OrderOf(waiting, At(3000)), ElementsAre(1, 2)) << "equal levels: the older";
  EXPECT_THAT(OrderOf(waiting, At(60'000)), ElementsAre(1, 2));
}

// Also between callers, if the older has nothing that runs.
TEST(ChooseNext, ACallerAgesWhileNothingOfItRuns) {
  std::vector<Waiting> waiting{{.priority = 0, .arrived = At(0), .order = 1, .caller = 0},
                               {.priority = 3, .arrived = At(3000), .order = 2, .caller = 1}};
  EXPECT_THAT(OrderOf(waiting, At(2999)), ElementsAre(2, 1));
  EXPECT_THAT(OrderOf(waiting, At(3000)), ElementsAre(1, 2));
  waiting[0].caller_last_ran = At(2500);
  EXPECT_THAT(OrderOf(waiting, At(3000)), ElementsAre(2, 1));
}

// A request of low priority that has become its caller's first does not cost the caller its turn.
TEST(ChooseNext, WhomACallerSendsIsItsOwnAffair) {
  const Waiting old{.priority = -50, .arrived = At(0), .order = 1, .caller_last_ran = At(60'000)};
  Waiting mine{.arrived = At(59'000), .order = 2, .caller_last_ran = At(60'000), .caller_got = 5};
  Waiting yours{.arrived = At(59'500),
                .order = 3,
                .caller = 1,
                .caller_last_ran = At(60'000),
                .caller_got = 9};
  Waiting aged = old;
  aged.caller_got = 5;
  EXPECT_THAT(OrderOf({aged, mine, yours}, At(60'000)), ElementsAre(1, 2, 3));
  yours.caller_got = 4;
  EXPECT_THAT(OrderOf({aged, mine, yours}, At(60'000)), ElementsAre(3, 1, 2));
}

// A hundred requests that have waited for a minute do not keep out whoever comes now.
TEST(ChooseNext, WhoFloodsWaitsBehindHimselfOnly) {
  std::vector<Waiting> waiting;
  for (uint64_t i = 0; i < 100; ++i) {
    waiting.push_back({.arrived = At(10 * i),
                       .order = i,
                       .caller = 0,
                       .caller_last_ran = At(60'000),
                       .caller_got = 5000});
  }
  waiting.push_back({.arrived = At(60'000), .order = 100, .caller = 1, .caller_got = 4000});
  std::vector<int32_t> scratch;
  EXPECT_EQ(ChooseNext(waiting, At(60'000), scratch), 100);
  EXPECT_EQ(CountAhead(waiting, waiting.back(), At(60'000), scratch), 1);
  EXPECT_EQ(
      CountAhead(waiting, {.arrived = At(60'000), .order = 101, .caller = 1}, At(60'000), scratch),
      3)
      << "its own and two of the other's";
  EXPECT_EQ(
      CountAhead(waiting, {.arrived = At(60'000), .order = 101, .caller = 0}, At(60'000), scratch),
      101);
}

// Whoever waits is next some time, whoever comes meanwhile.
TEST(ChooseNext, NobodyWaitsForEver) {
  for (int32_t old_caller : {0, 1}) {
    std::vector<Waiting> waiting{
        {.priority = -100, .arrived = At(0), .order = 0, .caller = old_caller}};
    std::vector<int32_t> scratch;
    int64_t ms = 0;
    for (uint64_t order = 1;; ++order, ms += 100) {
      ASSERT_LT(ms, 201'000);
      waiting.push_back({.priority = 100, .arrived = At(ms), .order = order, .caller = 0});
      for (Waiting& w : waiting) {
        if (w.caller == 0) w.caller_last_ran = At(ms);
      }
      const int32_t next = ChooseNext(waiting, At(ms), scratch);
      if (waiting[next].order == 0) break;
      waiting.erase(waiting.begin() + next);
    }
    EXPECT_GE(ms, 199'000);
  }
}

TEST(CountAhead, IsOfThoseThatGoFirst) {
  const std::vector<Waiting> waiting{
      {.preempted = true, .priority = -9, .order = 1, .caller = 0},
      {.priority = 5, .order = 2, .caller = 0},
      {.priority = 0, .order = 3, .caller = 1},
      {.priority = -5, .order = 4, .caller = 1},
      {.priority = -5, .order = 5, .caller = 0},
  };
  std::vector<int32_t> scratch{7};
  const auto ahead = [&](int32_t priority, int32_t caller) {
    return CountAhead(waiting, {.priority = priority, .order = 6, .caller = caller}, Time{},
                      scratch);
  };
  EXPECT_EQ(ahead(6, 2), 1);
  EXPECT_EQ(ahead(0, 2), 3);
  EXPECT_EQ(ahead(-5, 2), 5);
  EXPECT_EQ(ahead(-5, 1), 5);
  EXPECT_EQ(ahead(-9, 1), 5);
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
