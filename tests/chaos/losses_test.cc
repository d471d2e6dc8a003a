#include "tests/chaos/losses.h"

#include <gtest/gtest.h>

#include <ctime>

namespace expertmesh::chaos {
namespace {

// 2026-01-31 12:00:00 of the local time, as the log has it.
int64_t Noon() {
  std::tm day{};
  day.tm_year = 126;
  day.tm_mon = 0;
  day.tm_mday = 31;
  day.tm_hour = 12;
  day.tm_isdst = -1;
  return int64_t{std::mktime(&day)} * 1000;
}

constexpr char kLog[] =
    "2026-01-31T12:00:03.250 W [coordinator] lease of e2 has run out\n"
    "2026-01-31T12:00:04.000 I [coordinator] topology 1.9: 5 workers serve; uncovered: none\n"
    "2026-01-31T12:00:05.001 W [coordinator] link of a1 is broken\n"
    "control was paused: no time, no line\n"
    "2026-01-31T12:01:00.000 W [coordinator] e3 is silent: a2 says so, and control has not heard "
    "of it\n";

TEST(Losses, AreReadFromTheCoordinatorsLog) {
  const std::vector<Loss> losses = ReadLosses(kLog, Noon());
  ASSERT_EQ(losses.size(), 3u);
  EXPECT_EQ(losses[0].worker, "e2");
  EXPECT_EQ(losses[0].at_ms, 3250);
  EXPECT_EQ(losses[1].worker, "a1");
  EXPECT_EQ(losses[1].at_ms, 5001);
  EXPECT_EQ(losses[2].worker, "e3");
  EXPECT_EQ(losses[2].at_ms, 60'000);
}

TEST(Losses, AreFalseWhereNoEventAccountsForThem) {
  const std::vector<Loss> losses = ReadLosses(kLog, Noon());
  EXPECT_EQ(FalseLosses(losses, {}).size(), 3u);
  // e2's own event, and the coordinator's, which accounts for a1.
  const auto schedule = ParseSchedule("1 stop e2 3\n4.5 kill coordinator 1\n");
  const std::vector<Loss> wrong = FalseLosses(losses, *schedule);
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_EQ(wrong[0].worker, "e3");
}

}  // namespace
}  // namespace expertmesh::chaos
