#include "attention_worker/core/cache/prefix_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int32_t kRows = 4;
using Ids = std::vector<int32_t>;

// Blocks of a sequence that has computed `positions`, left to the cache alone.
class PrefixCacheTest : public testing::Test {
 protected:
  Ids Leave(const Ids& tokens, const std::string& salt = "") {
    Ids blocks;
    EXPECT_TRUE(pool.Take(static_cast<int32_t>(tokens.size() + kRows - 1) / kRows, blocks));
    cache.Insert(salt, tokens, blocks);
    const Ids kept = blocks;
    pool.Give(blocks);
    return kept;
  }
  // What is found, as positions.
  int32_t Found(const Ids& tokens, const std::string& salt = "") {
    const PrefixMatch match = cache.Find(salt, tokens);
    return static_cast<int32_t>(match.blocks.size()) * kRows + match.tail_rows;
  }
  BlockPool pool{20};
  PrefixCache cache{&pool, kRows};
};

TEST_F(PrefixCacheTest, OfNothingFindsNothing) {
  const PrefixMatch match = cache.Find("", Ids{1, 2, 3, 4, 5});
  EXPECT_THAT(match.blocks, IsEmpty());
  EXPECT_EQ(match.tail, -1);
  EXPECT_EQ(match.tail_rows, 0);
}

TEST_F(PrefixCacheTest, FindsFullBlocksAndThePartOfOneMore) {
  const Ids blocks = Leave({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  PrefixMatch match = cache.Find("", Ids{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_THAT(match.blocks, ElementsAre(blocks[0], blocks[1]));
  EXPECT_EQ(match.tail, blocks[2]);
  EXPECT_EQ(match.tail_rows, 2);
  match = cache.Find("", Ids{1, 2, 3, 4, 5, 6, 77});
  EXPECT_THAT(match.blocks, ElementsAre(blocks[0]));
  EXPECT_EQ(match.tail, blocks[1]) << "a full block, as far as it is the same";
  EXPECT_EQ(match.tail_rows, 2);
  EXPECT_EQ(Found({9, 2, 3, 4}), 0);
  EXPECT_EQ(Found({1}), 1);
  EXPECT_EQ(Found({}), 0);
}

TEST_F(PrefixCacheTest, OfTwoThatBeginAlikeFindsTheOneWithMoreInCommon) {
  Leave({1, 2, 3, 4, 5, 5, 0, 0});
  Leave({1, 2, 3, 4, 5, 6, 7, 0});
  Leave({1, 2, 3, 4, 5, 7, 7, 7});
  EXPECT_EQ(Found({1, 2, 3, 4, 5, 6, 7, 9}), 7);
  EXPECT_EQ(Found({1, 2, 3, 4, 5, 5, 1}), 6);
  EXPECT_EQ(Found({1, 2, 3, 4, 5, 7, 7, 7, 1}), 8);
  EXPECT_EQ(Found({1, 2, 3, 4, 9}), 4);
}

TEST_F(PrefixCacheTest, SaltsShareNothing) {
  Leave({1, 2, 3, 4}, "mine");
  EXPECT_EQ(Found({1, 2, 3, 4}), 0);
  EXPECT_EQ(Found({1, 2, 3, 4}, "yours"), 0);
  EXPECT_EQ(Found({1, 2, 3, 4}, "mine"), 4);
}

TEST_F(PrefixCacheTest, ATailThatGrewGivesWay) {
  Ids blocks;
  ASSERT_TRUE(pool.Take(2, blocks));
  cache.Insert("", Ids{1, 2, 3, 4, 5}, blocks);
  EXPECT_EQ(cache.blocks(), 2);
  cache.Insert("", Ids{1, 2, 3, 4, 5, 6, 7}, blocks);  // the same sequence, later
  EXPECT_EQ(cache.blocks(), 2);
  cache.Insert("", Ids{1, 2, 3, 4, 5, 6}, blocks);  // less than is there
  EXPECT_EQ(cache.blocks(), 2);
  EXPECT_EQ(Found({1, 2, 3, 4, 5, 6, 7, 8}), 7);
  pool.Give(blocks);
  Leave({1, 2, 3, 4, 5, 6, 7, 8});  // somebody else's, and full
  EXPECT_EQ(cache.blocks(), 2);
  EXPECT_EQ(pool.idle_blocks(), 2);
  EXPECT_EQ(Found({1, 2, 3, 4, 5, 6, 7, 8}), 8);
}

TEST_F(PrefixCacheTest, ExchangesFullBlocksForThoseThatAreThere) {
  const Ids first = Leave({1, 2, 3, 4, 5, 6});
  Ids blocks;
  ASSERT_TRUE(pool.Take(2, blocks));
  const int32_t tail = blocks[1];
  cache.Insert("", Ids{1, 2, 3, 4, 5, 6}, blocks);
  EXPECT_EQ(blocks[0], first[0]);
  EXPECT_EQ(blocks[1], tail) << "it goes on to be written";
  EXPECT_EQ(pool.references(first[0]), 2);
  pool.Give(blocks);
  EXPECT_EQ(pool.free_blocks(), 18);
}

TEST_F(PrefixCacheTest, GivesUpTheLeastRecentlyUsedFirstAndLeavesFirst) {
  Leave({1, 1, 1, 1, 2, 2, 2, 2});
  Leave({3, 3, 3, 3});
  Leave({4, 4, 4, 4});
  EXPECT_EQ(Found({1, 1, 1, 1, 2, 2, 2, 2}), 8);  // used last
  const int32_t free = pool.free_blocks();
  EXPECT_TRUE(cache.Evict(free + 1));
  EXPECT_EQ(Found({3, 3, 3, 3}), 0);
  EXPECT_TRUE(cache.Evict(free + 3));
  EXPECT_EQ(Found({4, 4, 4, 4}), 0);
  EXPECT_EQ(Found({1, 1, 1, 1, 2, 2, 2, 2}), 4);
  EXPECT_FALSE(cache.Evict(pool.blocks() + 1)) << "in vain, so nothing is given up";
  EXPECT_EQ(Found({1, 1, 1, 1, 2, 2, 2, 2}), 4);
  EXPECT_TRUE(cache.Evict(pool.blocks()));
  EXPECT_EQ(pool.free_blocks(), pool.blocks());
}

TEST_F(PrefixCacheTest, DoesNotGiveUpWhatSomebodyUses) {
  const Ids blocks = Leave({1, 1, 1, 1, 2, 2, 2, 2});
  pool.Share(blocks[1]);
  EXPECT_FALSE(cache.Evict(pool.blocks()));
  EXPECT_EQ(Found({1, 1, 1, 1, 2, 2, 2, 2}), 8);
  pool.Give(blocks[1]);
  EXPECT_TRUE(cache.Evict(pool.blocks()));
  EXPECT_EQ(cache.blocks(), 0);
}

TEST_F(PrefixCacheTest, ClearGivesEverythingBack) {
  Leave({1, 1, 1, 1, 2, 2, 2, 2, 3}, "a");
  Leave({1, 1, 1, 1, 2, 2, 2, 2, 3}, "b");
  cache.Clear();
  EXPECT_EQ(pool.free_blocks(), pool.blocks());
  EXPECT_EQ(cache.blocks(), 0);
  EXPECT_EQ(Found({1, 1, 1, 1}, "a"), 0);
  Leave({1, 1, 1, 1}, "a");
  EXPECT_EQ(Found({1, 1, 1, 1}, "a"), 4);
}

// Against a plain list of all that was left: what is found is never more than there is, and, before
// anything is given up, never less. The account stays right.
TEST_F(PrefixCacheTest, FindsWhatAPlainSearchFinds) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    BlockPool blocks(40);
    PrefixCache tree(&blocks, kRows);
    std::vector<Ids> left;
    const auto draw = [&] {
      Ids tokens(1 + random() % 11);
      for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 2);
      return tokens;
    };
    bool evicted = false;
    for (int step = 0; step < 60; ++step) {
      const Ids tokens = draw();
      Ids mine;
      const auto wanted = static_cast<int32_t>(tokens.size() + kRows - 1) / kRows;
      if (!blocks.Take(wanted, mine)) {
        evicted = true;
        ASSERT_TRUE(tree.Evict(wanted));
        ASSERT_TRUE(blocks.Take(wanted, mine));
      }
      tree.Insert("", tokens, mine);
      blocks.Give(mine);
      left.push_back(tokens);
      const Ids asked = draw();
      size_t most = 0;
      for (const Ids& other : left) {
        const size_t end = std::min(asked.size(), other.size());
        const auto differ = std::mismatch(asked.begin(), asked.begin() + end, other.begin());
        most = std::max<size_t>(most, differ.first - asked.begin());
      }
      const PrefixMatch match = tree.Find("", asked);
      const size_t found = match.blocks.size() * kRows + match.tail_rows;
      ASSERT_LE(found, most);
      ASSERT_EQ(found, evicted ? found : most);
      std::vector<int32_t> references(blocks.blocks(), 0);
      tree.CountReferences(references);
      for (int32_t block = 0; block < blocks.blocks(); ++block) {
        ASSERT_EQ(references[block], blocks.references(block));
        ASSERT_LE(references[block], 1);
      }
      ASSERT_EQ(blocks.idle_blocks(), tree.blocks());
    }
  }
}

}  // namespace
}  // namespace expertmesh
