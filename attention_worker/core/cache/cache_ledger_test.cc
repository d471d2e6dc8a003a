#include "attention_worker/core/cache/cache_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace expertmesh {
namespace {

using testing::HasSubstr;

constexpr int32_t kRows = 4;

std::vector<int32_t> Tokens(int32_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 1);
  return tokens;
}

class CacheLedgerTest : public testing::Test {
 protected:
  // A sequence that computed all of `tokens` and has ended.
  void Leave(const std::vector<int32_t>& tokens) {
    CacheHolding holding;
    ASSERT_TRUE(ledger.Grow(holding, static_cast<int32_t>(tokens.size())));
    holding.cached = static_cast<int32_t>(tokens.size());
    ledger.Keep("", tokens, holding);
    ledger.Release(holding);
  }
  CacheLedger ledger{6, kRows};
};

TEST_F(CacheLedgerTest, GrowsBlockByBlockAndTakesWhatNobodyUses) {
  CacheHolding holding;
  EXPECT_TRUE(ledger.Grow(holding, 1));
  EXPECT_TRUE(ledger.Grow(holding, 4));
  EXPECT_EQ(holding.blocks.size(), 1u);
  EXPECT_TRUE(ledger.Grow(holding, 5));
  EXPECT_EQ(holding.blocks.size(), 2u);
  Leave(Tokens(16));
  EXPECT_EQ(ledger.used_blocks(), 2);
  EXPECT_EQ(ledger.obtainable(), 4);
  EXPECT_TRUE(ledger.Grow(holding, 24)) << "what was left is given up";
  EXPECT_FALSE(ledger.Grow(holding, 25));
  EXPECT_EQ(holding.blocks.size(), 6u);
  EXPECT_EQ(ledger.Look("", Tokens(16)).positions, 0);
  ledger.Release(holding);
  EXPECT_EQ(ledger.used_blocks(), 0);
}

TEST_F(CacheLedgerTest, ReusesFullBlocksAndCopiesThePartOfOne) {
  Leave(Tokens(10));
  CacheHolding holding;
  ledger.Reuse("", Tokens(9), true, holding);
  EXPECT_EQ(holding.cached, 9);
  EXPECT_EQ(holding.blocks.size(), 3u);
  ASSERT_TRUE(holding.copy.has_value());
  EXPECT_EQ(holding.copy->rows, 1);
  EXPECT_EQ(holding.copy->to, holding.blocks[2]);
  EXPECT_NE(holding.copy->from, holding.copy->to);
  const CacheHolding* all[] = {&holding};
  EXPECT_TRUE(ledger.Check(all).ok());

  std::vector<BlockCopy> copies;
  ledger.TakeCopy(holding, copies);
  ledger.TakeCopy(holding, copies);
  EXPECT_EQ(copies.size(), 1u) << "once";
  EXPECT_TRUE(ledger.Check(all).ok()) << "its source is still held";
  ledger.CopiesMade();
  EXPECT_TRUE(ledger.Check(all).ok());
  ledger.Release(holding);
  EXPECT_EQ(ledger.used_blocks(), 0);
}

TEST_F(CacheLedgerTest, WhatWaitsForACopyIsKeptForNobody) {
  Leave(Tokens(10));
  CacheHolding holding;
  std::vector<int32_t> tokens = Tokens(9);
  ledger.Reuse("", tokens, true, holding);
  tokens.back() = 77;
  ledger.Keep("", tokens, holding);
  ledger.Release(holding);
  EXPECT_EQ(ledger.Look("", tokens).positions, 8);
  EXPECT_TRUE(ledger.Check({}).ok());
}

TEST_F(CacheLedgerTest, WithoutTailsOrWithoutABlockForOneTakesFullBlocksAlone) {
  Leave(Tokens(10));
  CacheHolding plain, others, tight;
  ledger.Reuse("", Tokens(9), false, plain);
  EXPECT_EQ(plain.cached, 8);
  EXPECT_TRUE(ledger.Grow(others, 12));
  ledger.Reuse("", Tokens(9), true, tight);
  EXPECT_EQ(tight.cached, 8);
  EXPECT_FALSE(tight.copy.has_value());
  const CacheHolding* all[] = {&plain, &others, &tight};
  EXPECT_TRUE(ledger.Check(all).ok()) << ledger.Check(all);
}

TEST_F(CacheLedgerTest, TellsWhichBlocksCostNothing) {
  Leave(Tokens(8));
  EXPECT_EQ(ledger.Look("", Tokens(8)).positions, 8);
  EXPECT_EQ(ledger.Look("", Tokens(8)).used_blocks, 0);
  CacheHolding holding;
  ledger.Reuse("", Tokens(4), true, holding);
  EXPECT_EQ(ledger.Look("", Tokens(8)).used_blocks, 1);
  ledger.Release(holding);
}

TEST_F(CacheLedgerTest, NamesTheBlockWhoseAccountIsWrong) {
  CacheHolding holding;
  ASSERT_TRUE(ledger.Grow(holding, 3));
  EXPECT_THAT(std::string(ledger.Check({}).message()), HasSubstr("block 0 has 1 references"));
  const CacheHolding* all[] = {&holding, &holding};
  EXPECT_THAT(std::string(ledger.Check(all).message()), HasSubstr("found are 2"));
}

}  // namespace
}  // namespace expertmesh
