#include "cluster/liveness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using Verdict = Liveness::Verdict;
using testing::HasSubstr;

constexpr Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

// Checks at every millisecond of [from, to]; returns when pings were asked for, in ms.
std::vector<int64_t> Pings(Liveness& liveness, int64_t from, int64_t to) {
  std::vector<int64_t> pings;
  for (int64_t ms = from; ms <= to; ++ms) {
    const Verdict verdict = liveness.Check(At(ms));
    EXPECT_NE(verdict, Verdict::kLost) << "at " << ms << " ms: " << liveness.why();
    if (verdict == Verdict::kPing) pings.push_back(ms);
  }
  return pings;
}

// The first ms of [from, to] at which the peer is lost, checked only when the state machine asks
// for it; -1: never.
int64_t LostAt(Liveness& liveness, int64_t from, int64_t to) {
  for (Time now = At(from); now <= At(to);) {
    if (liveness.Check(now) == Verdict::kLost) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(now - At(0)).count();
    }
    if (liveness.NextWakeup() <= now) {
      ADD_FAILURE() << "wants to be woken at a time that has passed";
      return -1;
    }
    now = liveness.NextWakeup();
  }
  return -1;
}

TEST(Liveness, AsksNothingOfAnIdlePeer) {
  Liveness liveness({});
  EXPECT_EQ(liveness.Check(At(0)), Verdict::kFine);
  EXPECT_EQ(liveness.Check(At(100000)), Verdict::kFine);
  EXPECT_EQ(liveness.NextWakeup(), kNever);
  liveness.OnCallSent(1, At(100000));
  EXPECT_EQ(liveness.outstanding(), 1u);
  liveness.OnCallAnswered(1);
  EXPECT_EQ(liveness.outstanding(), 0u);
  EXPECT_EQ(liveness.Check(At(200000)), Verdict::kFine);
  EXPECT_EQ(liveness.NextWakeup(), kNever);
}

TEST(Liveness, PingsAtItsPaceWhileACallIsOut) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  EXPECT_EQ(liveness.NextWakeup(), At(250));
  EXPECT_THAT(Pings(liveness, 0, 999), testing::ElementsAre(250, 500, 750));
  EXPECT_EQ(liveness.last_ping(), 3u);
}

// Only a pong says whether a call is in the peer's hands, so talk about others does not stop pings.
TEST(Liveness, PingsEvenAPeerThatTalks) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  for (int64_t ms = 1; ms <= 2000; ++ms) {
    liveness.OnFrame(At(ms));
    EXPECT_NE(liveness.Check(At(ms)), Verdict::kLost);
  }
  EXPECT_EQ(liveness.last_ping(), 8u);
}

TEST(Liveness, LosesASilentPeerWhenItsTimeIsUp) {
  Liveness liveness({});
  liveness.OnCallSent(7, At(0));
  EXPECT_EQ(LostAt(liveness, 0, 5000), 1000);
  EXPECT_THAT(liveness.why(), HasSubstr("silent for 1000 ms with 1 calls outstanding"));
}

TEST(Liveness, CountsSilenceFromTheFirstCallNotFromTheLastWord) {
  Liveness liveness({});
  liveness.OnFrame(At(0));
  liveness.OnCallSent(1, At(50000));
  EXPECT_EQ(LostAt(liveness, 50000, 60000), 51000);
}

TEST(Liveness, AnyFrameIsAnAnswer) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  EXPECT_EQ(Pings(liveness, 0, 900).size(), 3u);
  liveness.OnFrame(At(900));
  EXPECT_EQ(LostAt(liveness, 901, 5000), 2000) << "1900 is up, and the ping of 1750 had its time";
}

TEST(Liveness, LosesNobodyBeforeTwoPingsHadTimeToBeAnswered) {
  Liveness liveness({.ping_after = Milliseconds(600), .lost_after = Milliseconds(1000)});
  liveness.OnCallSent(1, At(0));
  EXPECT_EQ(LostAt(liveness, 0, 5000), 1800) << "pings go out at 600 and 1200";
}

// We stood still, the peer did not: its answers may wait behind the pause, unread.
TEST(Liveness, HoldsAPauseOfOurOwnNotAgainstThePeer) {
  for (int64_t before : {1, 260, 510, 760}) {
    for (int64_t pause : {1001, 2000, 60000}) {
      Liveness liveness({});
      liveness.OnCallSent(1, At(0));
      Pings(liveness, 0, before);
      const int64_t back = before + pause;
      EXPECT_EQ(liveness.Check(At(back)), Verdict::kPing) << before << ", " << pause;
      EXPECT_EQ(liveness.Check(At(back)), Verdict::kFine) << "the answer cannot be there yet";
      EXPECT_EQ(liveness.Check(At(back + 100)), Verdict::kFine);
      liveness.OnFrame(At(back + 101));
      EXPECT_EQ(LostAt(liveness, back + 101, back + 1000), -1);
    }
  }
}

TEST(Liveness, FindsAPeerDeadThatDiedDuringOurPause) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  Pings(liveness, 0, 510);
  EXPECT_EQ(LostAt(liveness, 9000, 20000), 9250);
}

// However slow we are, a dead peer is found: no call waits for ever.
TEST(Liveness, LosesADeadPeerThoughEveryCheckComesLate) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  int checks = 1;
  while (liveness.Check(At(checks * 700)) != Verdict::kLost && checks < 100) ++checks;
  EXPECT_LE(checks, 10);
}

TEST(Liveness, LosesTheChannelWhenThreePongsInARowDoNotKnowACall) {
  Liveness liveness({});
  liveness.OnCallSent(7, At(0));
  for (int ping = 1; ping <= 3; ++ping) {
    EXPECT_EQ(liveness.Check(At(ping * 250)), Verdict::kPing);
    liveness.OnFrame(At(ping * 250 + 1));
    liveness.OnPong(liveness.last_ping(), {});
  }
  EXPECT_EQ(liveness.Check(At(752)), Verdict::kLost);
  EXPECT_THAT(liveness.why(), HasSubstr("call 7 is unknown to the peer"));
}

TEST(Liveness, CountsMissesAnewWhenAPongKnowsTheCall) {
  Liveness liveness({});
  liveness.OnCallSent(7, At(0));
  const uint64_t held[] = {3, 7};
  for (int ping = 1; ping <= 12; ++ping) {
    EXPECT_EQ(liveness.Check(At(ping * 250)), Verdict::kPing);
    liveness.OnFrame(At(ping * 250 + 1));
    liveness.OnPong(liveness.last_ping(),
                    ping % 3 == 0 ? absl::MakeConstSpan(held) : absl::Span<const uint64_t>());
  }
  EXPECT_EQ(liveness.Check(At(3010)), Verdict::kFine);
}

TEST(Liveness, LearnsNothingOfACallFromPingsThatAreOlder) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  EXPECT_EQ(Pings(liveness, 0, 750).size(), 3u);
  liveness.OnCallSent(2, At(751));
  liveness.OnCallAnswered(1);
  liveness.OnFrame(At(752));
  for (uint64_t ping = 1; ping <= 3; ++ping) liveness.OnPong(ping, {});
  EXPECT_EQ(liveness.Check(At(753)), Verdict::kFine);
}

TEST(Liveness, CountsAPongThatComesTwiceOnce) {
  Liveness liveness({});
  liveness.OnCallSent(7, At(0));
  EXPECT_EQ(liveness.Check(At(250)), Verdict::kPing);
  liveness.OnFrame(At(251));
  for (int i = 0; i < 10; ++i) liveness.OnPong(1, {});
  EXPECT_EQ(liveness.Check(At(252)), Verdict::kFine);
}

TEST(Liveness, CountsAPongThatIsOvertakenByANewerOneNotAgain) {
  Liveness liveness({});
  liveness.OnCallSent(7, At(0));
  for (int ping = 1; ping <= 2; ++ping) {
    EXPECT_EQ(liveness.Check(At(ping * 250)), Verdict::kPing);
    liveness.OnFrame(At(ping * 250 + 1));
  }
  liveness.OnPong(2, {});
  liveness.OnPong(1, {});
  liveness.OnPong(2, {});
  EXPECT_EQ(liveness.Check(At(510)), Verdict::kFine) << "one miss: the newer pong's";
}

// A number that was never asked would make later, true pongs look old.
TEST(Liveness, LearnsNothingFromAPongToAPingThatWasNeverAsked) {
  Liveness liveness({});
  liveness.OnCallSent(7, At(0));
  liveness.OnPong(UINT64_MAX, {});
  for (int ping = 1; ping <= 3; ++ping) {
    EXPECT_EQ(liveness.Check(At(ping * 250)), Verdict::kPing);
    liveness.OnFrame(At(ping * 250 + 1));
    liveness.OnPong(liveness.last_ping(), {});
  }
  EXPECT_EQ(liveness.Check(At(752)), Verdict::kLost);
}

TEST(Liveness, KeepsCallsApart) {
  Liveness liveness({});
  liveness.OnCallSent(1, At(0));
  liveness.OnCallSent(2, At(0));
  const uint64_t only_two[] = {2};
  for (int ping = 1; ping <= 3; ++ping) {
    EXPECT_EQ(liveness.Check(At(ping * 250)), Verdict::kPing);
    liveness.OnFrame(At(ping * 250 + 1));
    liveness.OnPong(liveness.last_ping(), only_two);
  }
  EXPECT_EQ(liveness.Check(At(752)), Verdict::kLost);
  EXPECT_THAT(liveness.why(), HasSubstr("call 1 "));
  liveness.OnCallAnswered(1);
  EXPECT_EQ(liveness.Check(At(753)), Verdict::kFine) << "its answer was only late";
}

}  // namespace
}  // namespace expertmesh
