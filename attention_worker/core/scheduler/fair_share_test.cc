#include "attention_worker/core/scheduler/fair_share.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

constexpr Time At(int64_t ms) { return Time{} + Milliseconds(ms); }

TEST(FairShare, CountsWhatEachGot) {
  FairShare shares;
  shares.Enter("a");
  shares.Charge("a", 10, At(1));
  shares.Charge("nobody", 10, At(1));
  EXPECT_EQ(shares.Of("a").got, 10);
  EXPECT_EQ(shares.Of("a").last_ran, At(1));
  EXPECT_EQ(shares.Of("nobody").got, 10) << "what it would begin with";
  EXPECT_EQ(shares.callers(), 1u);
}

TEST(FairShare, WhoComesBeginsWithTheLeastOfThoseThatAreThere) {
  FairShare shares;
  shares.Enter("a");
  shares.Charge("a", 100, At(1));
  shares.Enter("b");
  EXPECT_EQ(shares.Of("b").got, 100) << "no right to a hundred rows more";
  shares.Charge("b", 50, At(1));
  shares.Enter("c");
  EXPECT_EQ(shares.Of("c").got, 100);
}

TEST(FairShare, WhoHasLeftIsForgotten) {
  FairShare shares;
  shares.Enter("a");
  shares.Enter("a");
  shares.Charge("a", 7, At(2));
  shares.Leave("a");
  EXPECT_EQ(shares.Of("a").got, 7) << "one more request of it is there";
  shares.Leave("a");
  EXPECT_EQ(shares.callers(), 0u);
  shares.Enter("a");
  EXPECT_EQ(shares.Of("a").got, 0);
}

TEST(FairShare, NumbersAreDifferentAndSmall) {
  FairShare shares;
  EXPECT_EQ(shares.Of("a").number, 0);
  for (const char* caller : {"a", "b", "c", "b"}) shares.Enter(caller);
  EXPECT_EQ(shares.Of("a").number, 0);
  EXPECT_EQ(shares.Of("b").number, 1);
  EXPECT_EQ(shares.Of("c").number, 2);
  EXPECT_EQ(shares.Of("d").number, 3);
  shares.Leave("b");
  EXPECT_EQ(shares.Of("d").number, 3);
  shares.Leave("b");
  shares.Enter("d");
  EXPECT_EQ(shares.Of("d").number, 1);
}

}  // namespace
}  // namespace expertmesh
