#include "tests/chaos/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace expertmesh::chaos {
namespace {

using testing::HasSubstr;

std::string FaultOf(absl::string_view text) {
  return std::string(ParseSchedule(text).status().message());
}

std::string OneTooMany(absl::string_view text, const Ground& ground = {}) {
  return std::string(CheckSurvivable(ParseSchedule(text).value(), ground).message());
}

TEST(Schedule, IsReadBackAsItWasPrinted) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Schedule schedule = DrawSchedule(seed, 120'000, {});
    ASSERT_FALSE(schedule.empty()) << seed;
    const auto again = ParseSchedule(ToText(schedule));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, schedule) << seed;
  }
}

TEST(Schedule, PassesOverCommentsAndEmptyLines) {
  const auto schedule =
      ParseSchedule("# seed 7\n\n1.5 kill e2 2  # back soon\n 3 loss a1 0.25 7\n");
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_EQ(*schedule,
            (Schedule{{1500, Fault::kKill, "e2", 2000, 0}, {3000, Fault::kLoss, "a1", 250, 7}}));
}

TEST(Schedule, SaysWhichLineIsWrongAndWhy) {
  EXPECT_THAT(FaultOf("1 kill e2 2\n2 kill e2"), HasSubstr("line 2: not AT KIND TARGET FOR"));
  EXPECT_THAT(FaultOf("1 burn e2 2"), HasSubstr("line 1: no such kind: burn"));
  EXPECT_THAT(FaultOf("-1 kill e2 2"), HasSubstr("seconds"));
  EXPECT_THAT(FaultOf("1 kill e2 nan"), HasSubstr("seconds"));
  EXPECT_THAT(FaultOf("1 kill e2 86401"), HasSubstr("seconds"));
  for (const char* target : {"x1", "e", "e0", "e100", "e02", "e1x", "coordinators"}) {
    EXPECT_THAT(FaultOf(absl::StrCat("1 kill ", target, " 2")), HasSubstr("no such target"));
  }
  EXPECT_THAT(FaultOf("1 drain coordinator 2"), HasSubstr("killed or stopped alone"));
  EXPECT_THAT(FaultOf("1 loss e2 2"), HasSubstr("PERCENT"));
  EXPECT_THAT(FaultOf("1 kill e2 2 5"), HasSubstr("PERCENT"));
  EXPECT_THAT(FaultOf("1 loss e2 2 100"), HasSubstr("not 1 to 99"));
  EXPECT_THAT(FaultOf("2 kill e2 1\n1 kill e3 1"), HasSubstr("line 2: it is earlier"));
}

TEST(Schedule, IsTheSameForTheSameSeedAlone) {
  EXPECT_EQ(DrawSchedule(3, 60'000, {}), DrawSchedule(3, 60'000, {}));
  EXPECT_NE(DrawSchedule(3, 60'000, {}), DrawSchedule(4, 60'000, {}));
}

TEST(Schedule, IsSurvivableWhateverTheSeed) {
  for (const Ground& ground : {Ground{}, Ground{2, 3}, Ground{3, 6}}) {
    for (uint64_t seed = 1; seed <= 100; ++seed) {
      const Schedule schedule = DrawSchedule(seed, 300'000, ground);
      const absl::Status survivable = CheckSurvivable(schedule, ground);
      EXPECT_TRUE(survivable.ok()) << "seed " << seed << ": " << survivable;
    }
  }
}

TEST(Schedule, IsOverBeforeTheCalm) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    for (const Event& event : DrawSchedule(seed, 60'000, {}, 7000)) {
      EXPECT_LE(event.at_ms + event.for_ms, 53'000) << "seed " << seed;
    }
  }
}

TEST(Schedule, HasEveryFaultThatTheNetworkHas) {
  std::set<Fault> all, on_loopback;
  for (const Event& event : DrawSchedule(1, 600'000, {})) all.insert(event.fault);
  for (const Event& event : DrawSchedule(1, 600'000, {.cables = false, .loss = false})) {
    on_loopback.insert(event.fault);
  }
  EXPECT_THAT(all, testing::ElementsAre(Fault::kKill, Fault::kStop, Fault::kCut, Fault::kLoss,
                                        Fault::kDrain, Fault::kJoin));
  EXPECT_THAT(on_loopback,
              testing::ElementsAre(Fault::kKill, Fault::kStop, Fault::kDrain, Fault::kJoin));
}

TEST(Schedule, NeverEndsTheTwoWhoseMemoryIsWatched) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const Event& event : DrawSchedule(seed, 300'000, {})) {
      const bool watched = event.target == "a1" || event.target == "e1";
      EXPECT_FALSE(watched && (event.fault == Fault::kKill || event.fault == Fault::kDrain))
          << seed;
    }
  }
}

TEST(CheckSurvivable, NamesTheEventThatIsOneTooMany) {
  EXPECT_EQ(OneTooMany("1 kill e1 1\n2 kill e2 1\n20 kill a1 1"), "");
  EXPECT_THAT(OneTooMany("1 kill a1 1\n2 stop a2 1"),
              HasSubstr("2.000 stop a2 1.000: no attention worker is left"));
  EXPECT_THAT(OneTooMany("1 kill e1 1\n2 kill e2 1\n3 kill e3 1"), HasSubstr("fewer than two"));
  EXPECT_THAT(OneTooMany("1 kill e1 1\n2 kill e2 1\n3 kill a1 1"), HasSubstr("a third"));
  EXPECT_THAT(OneTooMany("1 kill e1 1\n4 cut e1 1"), HasSubstr("in trouble already"));
  EXPECT_THAT(OneTooMany("1 kill e1 1\n2 kill e2 1\n3 kill coordinator 1"),
              HasSubstr("the coordinator and more than one worker"));
}

TEST(CheckSurvivable, CountsTroubleUntilItsAftermathIsOver) {
  EXPECT_NE(OneTooMany("1 kill a1 1\n5.999 kill a2 1"), "");
  EXPECT_EQ(OneTooMany("1 kill a1 1\n6 kill a2 1"), "");
}

}  // namespace
}  // namespace expertmesh::chaos
