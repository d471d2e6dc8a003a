#include "coordinator/front_door/prefix_affinity.h"

#include <gtest/gtest.h>

#include <numeric>

namespace expertmesh {
namespace {

std::vector<int32_t> Tokens(size_t count, int32_t first = 0) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(BeginningsOf, AreOfWholeChunksAndOfAllBeforeThem) {
  EXPECT_TRUE(BeginningsOf("", Tokens(63)).empty());
  const auto two = BeginningsOf("", Tokens(140));
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(BeginningsOf("", Tokens(64))[0], two[0]);
  std::vector<int32_t> differs = Tokens(140);
  differs[3] = 77;
  EXPECT_NE(BeginningsOf("", differs)[1], two[1])
      << "the second chunk is the same, its past is not";
  EXPECT_NE(BeginningsOf("salt", Tokens(64))[0], two[0]);
}

TEST(PrefixAffinity, FindsWhoGotTheLongestBeginningLast) {
  PrefixAffinity<int> affinity(100);
  EXPECT_EQ(affinity.Find(BeginningsOf("", Tokens(200))), nullptr);
  affinity.Note(BeginningsOf("", Tokens(64)), 1);
  affinity.Note(BeginningsOf("", Tokens(200)), 2);
  EXPECT_EQ(*affinity.Find(BeginningsOf("", Tokens(500))), 2);
  affinity.Note(BeginningsOf("", Tokens(64)), 3);
  EXPECT_EQ(*affinity.Find(BeginningsOf("", Tokens(80))), 3);
  EXPECT_EQ(*affinity.Find(BeginningsOf("", Tokens(500))), 2);
  EXPECT_EQ(affinity.Find(BeginningsOf("", Tokens(500, 1))), nullptr);
}

TEST(PrefixAffinity, ForgetsWhoDidNotTakeIt) {
  PrefixAffinity<int> affinity(100);
  affinity.Note(BeginningsOf("", Tokens(64)), 1);
  affinity.Note(BeginningsOf("", Tokens(128)), 2);
  affinity.Forget(BeginningsOf("", Tokens(128)), 1);
  EXPECT_EQ(*affinity.Find(BeginningsOf("", Tokens(128))), 2);
  affinity.Forget(BeginningsOf("", Tokens(128)), 2);
  EXPECT_EQ(affinity.Find(BeginningsOf("", Tokens(128))), nullptr);
  EXPECT_EQ(affinity.size(), 0u);
}

TEST(PrefixAffinity, ForgetsWhatWasNotUsedForLongest) {
  PrefixAffinity<int> affinity(3);
  for (int i = 0; i < 3; ++i) affinity.Note(BeginningsOf("", Tokens(64, 1000 * i)), i);
  affinity.Note(BeginningsOf("", Tokens(64, 0)), 0);
  affinity.Note(BeginningsOf("", Tokens(64, 9000)), 9);
  EXPECT_EQ(affinity.size(), 3u);
  EXPECT_NE(affinity.Find(BeginningsOf("", Tokens(64, 0))), nullptr);
  EXPECT_EQ(affinity.Find(BeginningsOf("", Tokens(64, 1000))), nullptr);
}

}  // namespace
}  // namespace expertmesh
