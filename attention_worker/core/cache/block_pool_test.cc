#include "attention_worker/core/cache/block_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(BlockPool, GivesEveryBlockOnceAndThenNone) {
  BlockPool pool(5);
  std::vector<int32_t> blocks;
  EXPECT_TRUE(pool.Take(2, blocks));
  EXPECT_TRUE(pool.Take(3, blocks));
  EXPECT_EQ(std::set<int32_t>(blocks.begin(), blocks.end()), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.free_blocks(), 0);
  EXPECT_EQ(pool.used_blocks(), 5);
  EXPECT_FALSE(pool.Take(1, blocks));
  EXPECT_TRUE(pool.Take(0, blocks));
}

TEST(BlockPool, TakesAllThatIsAskedForOrNothing) {
  BlockPool pool(3);
  std::vector<int32_t> blocks{77};
  EXPECT_FALSE(pool.Take(4, blocks));
  EXPECT_THAT(blocks, ElementsAre(77));
  EXPECT_EQ(pool.free_blocks(), 3);
}

TEST(BlockPool, ABlockIsFreeWithItsLastReference) {
  BlockPool pool(2);
  std::vector<int32_t> mine;
  ASSERT_TRUE(pool.Take(1, mine));
  pool.Share(mine[0]);
  std::vector<int32_t> yours = mine;
  pool.Give(mine);
  EXPECT_THAT(mine, IsEmpty());
  EXPECT_EQ(pool.free_blocks(), 1);
  pool.Give(yours);
  EXPECT_EQ(pool.free_blocks(), 2);
}

TEST(BlockPool, WhatIsKeptAndNobodyUsesIsIdle) {
  BlockPool pool(3);
  std::vector<int32_t> mine;
  ASSERT_TRUE(pool.Take(1, mine));
  const int32_t block = mine[0];
  pool.Keep(block);
  EXPECT_FALSE(pool.idle(block));
  EXPECT_EQ(pool.used_blocks(), 1);
  pool.Give(mine);
  EXPECT_TRUE(pool.idle(block));
  EXPECT_EQ(pool.idle_blocks(), 1);
  EXPECT_EQ(pool.used_blocks(), 0);
  EXPECT_EQ(pool.free_blocks(), 2);
  pool.Share(block);
  EXPECT_EQ(pool.idle_blocks(), 0);
  pool.Unkeep(block);
  EXPECT_EQ(pool.used_blocks(), 1);
  pool.Give(block);
  EXPECT_EQ(pool.free_blocks(), 3);
}

TEST(BlockPool, NeverGivesOneBlockToTwo) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    BlockPool pool(37);
    std::vector<std::vector<int32_t>> owners(6);
    for (int i = 0; i < 500; ++i) {
      std::vector<int32_t>& owner = owners[random() % owners.size()];
      if (random() % 2 == 0) {
        pool.Give(owner);
      } else {
        pool.Take(static_cast<int32_t>(random() % 9), owner);
      }
      std::set<int32_t> all;
      size_t total = 0;
      for (const auto& each : owners) {
        all.insert(each.begin(), each.end());
        total += each.size();
      }
      ASSERT_EQ(all.size(), total);
      ASSERT_EQ(pool.used_blocks(), static_cast<int32_t>(total));
      ASSERT_EQ(pool.free_blocks(), 37 - static_cast<int32_t>(total));
    }
  }
}

TEST(BlockPoolDeathTest, DiesOfAReferenceThatIsGivenBackTwice) {
  BlockPool pool(2);
  std::vector<int32_t> blocks;
  pool.Take(1, blocks);
  std::vector<int32_t> copy = blocks;
  pool.Give(blocks);
  EXPECT_DEATH(pool.Give(copy), "a reference is given back once");
  EXPECT_DEATH(pool.Share(copy[0]), "a shared block is taken");
  EXPECT_DEATH(pool.Unkeep(copy[0]), "the cache gives up what it keeps");
}

}  // namespace
}  // namespace expertmesh
