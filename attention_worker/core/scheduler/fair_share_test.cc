#include "attention_worker/core/scheduler/fair_share.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

TEST(FairShare, CountsWhatEachGot) {
  FairShare shares;
  shares.Enter("a");
  shares.Charge("a", 10);
  shares.Charge("nobody", 10);
  EXPECT_EQ(shares.served("a"), 10);
  EXPECT_EQ(shares.served("nobody"), 0);
}

TEST(FairShare, WhoComesBeginsWithTheLeastOfThoseThatAreThere) {
  FairShare shares;
  shares.Enter("a");
  shares.Charge("a", 100);
  shares.Enter("b");
  EXPECT_EQ(shares.served("b"), 100) << "no right to a hundred rows more";
  shares.Charge("b", 50);
  shares.Enter("c");
  EXPECT_EQ(shares.served("c"), 100);
}

TEST(FairShare, WhoHasLeftIsForgotten) {
  FairShare shares;
  shares.Enter("a");
  shares.Enter("a");
  shares.Charge("a", 7);
  shares.Leave("a");
  EXPECT_EQ(shares.served("a"), 7) << "one more request of it is there";
  shares.Leave("a");
  EXPECT_EQ(shares.callers(), 0u);
  shares.Enter("a");
  EXPECT_EQ(shares.served("a"), 0);
}

}  // namespace
}  // namespace expertmesh
