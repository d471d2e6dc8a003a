#include "cluster/expert_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using testing::HasSubstr;

const ExpertGrid kGrid{2, 3, 5};  // layers 2, 3, 4 of five experts

ExpertSet Of(const std::vector<std::pair<int32_t, int32_t>>& experts, ExpertGrid grid = kGrid) {
  ExpertSet set(grid);
  for (auto [layer, expert] : experts) set.Insert(layer, expert);
  return set;
}

TEST(ExpertSet, HoldsWhatWasInsertedAndNothingElse) {
  const ExpertSet set = Of({{2, 0}, {3, 4}, {4, 4}});
  for (int32_t layer = 0; layer < 7; ++layer) {
    for (int32_t expert = -1; expert < 7; ++expert) {
      const bool in =
          (layer == 2 && expert == 0) || (layer == 3 && expert == 4) || (layer == 4 && expert == 4);
      EXPECT_EQ(set.Contains(layer, expert), in) << layer << ", " << expert;
    }
  }
  EXPECT_EQ(set.size(), 3);
  EXPECT_FALSE(set.empty());
}

TEST(ExpertSet, OutsideItsGridThereIsNothingWhateverIsAsked) {
  const ExpertSet full = ExpertSet::Full(kGrid);
  EXPECT_EQ(full.size(), 15);
  for (auto [layer, expert] : {std::pair{1, 0},
                               {5, 0},
                               {2, 5},
                               {2, -1},
                               {-1, 2},
                               {INT32_MAX, 0},
                               {INT32_MIN, 0},
                               {2, INT32_MAX},
                               {2, INT32_MIN}}) {
    EXPECT_FALSE(full.Contains(layer, expert)) << layer << ", " << expert;
  }
  EXPECT_FALSE(ExpertSet().Contains(0, 0));
  EXPECT_TRUE(ExpertSet().empty());
}

TEST(ExpertSet, AddsAndTakesAwayOtherSets) {
  ExpertSet set = Of({{2, 0}, {2, 1}});
  set.InsertAll(Of({{2, 1}, {4, 3}}));
  EXPECT_EQ(set, Of({{2, 0}, {2, 1}, {4, 3}}));
  set.RemoveAll(Of({{2, 0}, {3, 3}}));
  EXPECT_EQ(set, Of({{2, 1}, {4, 3}}));
  set.RemoveAll(ExpertSet::Full(kGrid));
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set, ExpertSet(kGrid));
}

TEST(ExpertSet, ComesBackFromItsBytesAtEverySize) {
  for (int32_t experts = 0; experts <= 17; ++experts) {
    const ExpertGrid grid{1, 3, experts};
    ExpertSet set(grid);
    for (int32_t layer = 1; layer <= 3; ++layer) {
      for (int32_t e = 0; e < experts; ++e) {
        if ((layer * 7 + e * 5) % 3 == 0) set.Insert(layer, e);
      }
    }
    for (const ExpertSet& each : {set, ExpertSet(grid), ExpertSet::Full(grid)}) {
      auto back = ExpertSet::FromBytes(grid, each.ToBytes());
      ASSERT_TRUE(back.ok()) << back.status();
      EXPECT_EQ(*back, each) << experts << " experts";
    }
  }
}

TEST(ExpertSet, WritesOneBitAnExpertLayerByLayerLowestFirst) {
  // Layer 2 is bits 0-4, layer 3 bits 5-9, layer 4 bits 10-14.
  EXPECT_EQ(Of({{2, 0}, {3, 4}, {4, 4}}).ToBytes(), std::string("\x01\x42", 2));
  EXPECT_EQ(ExpertSet().ToBytes(), "");
}

TEST(ExpertSet, RefusesBytesOfAnotherLength) {
  for (const std::string& bytes : {std::string(), std::string(1, '\0'), std::string(3, '\0')}) {
    const absl::Status status = ExpertSet::FromBytes(kGrid, bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::to_string(bytes.size()) + " bytes; 2 expected for 3 layers of 5"));
  }
  EXPECT_FALSE(ExpertSet::FromBytes(ExpertGrid(), std::string(1, '\0')).ok());
  EXPECT_TRUE(ExpertSet::FromBytes(ExpertGrid(), "").ok());
}

TEST(ExpertSet, RefusesBitsPastItsLastExpert) {
  EXPECT_TRUE(ExpertSet::FromBytes(kGrid, std::string("\xff\x7f", 2)).ok());
  const auto past = ExpertSet::FromBytes(kGrid, std::string("\x00\x80", 2));
  EXPECT_EQ(past.status().code(), absl::StatusCode::kInvalidArgument);
}

// However large the grid, no memory is made for bytes that are not there.
TEST(ExpertSet, RefusesAHugeGridByTheLengthOfItsBytes) {
  const auto set = ExpertSet::FromBytes({0, INT32_MAX, INT32_MAX}, std::string(8, '\x01'));
  EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ExpertSet, SaysInWordsWhatItHolds) {
  EXPECT_EQ(ExpertSet(kGrid).ToText(), "none");
  EXPECT_EQ(ExpertSet().ToText(), "none");
  EXPECT_EQ(ExpertSet::Full(kGrid).ToText(), "layers 2-4: experts 0-4");
  EXPECT_EQ(Of({{3, 1}}).ToText(), "layer 3: experts 1");
  EXPECT_EQ(Of({{2, 0}, {2, 1}, {2, 4}, {4, 0}, {4, 1}, {4, 4}}).ToText(),
            "layer 2: experts 0-1, 4; layer 4: experts 0-1, 4");
  EXPECT_EQ(Of({{2, 0}, {3, 0}, {4, 3}}).ToText(), "layers 2-3: experts 0; layer 4: experts 3");
}

TEST(ExpertSet, CutsLongTexts) {
  ExpertSet layers({0, 6, 4});  // unlike neighbours, so that no two layers are one part
  for (int32_t layer = 0; layer < 6; ++layer) layers.Insert(layer, layer % 2);
  EXPECT_EQ(layers.ToText(2), "layer 0: experts 0; layer 1: experts 1; ...");
  ExpertSet gaps({0, 1, 32});  // every other expert: more ranges than are shown
  for (int32_t e = 0; e < 32; e += 2) gaps.Insert(0, e);
  EXPECT_EQ(gaps.ToText(), "layer 0: experts 0, 2, 4, 6, 8, 10, 12, 14, ...");
}

// Layers whose texts are cut alike need not be alike.
TEST(ExpertSet, NeverSaysThatUnlikeLayersAreAlike) {
  ExpertSet set({0, 2, 32});
  for (int32_t e = 0; e < 32; e += 2) set.Insert(0, e);
  for (int32_t e = 0; e < 18; e += 2) set.Insert(1, e);
  EXPECT_EQ(set.ToText(),
            "layer 0: experts 0, 2, 4, 6, 8, 10, 12, 14, ...; "
            "layer 1: experts 0, 2, 4, 6, 8, 10, 12, 14, ...");
}

}  // namespace
}  // namespace expertmesh
