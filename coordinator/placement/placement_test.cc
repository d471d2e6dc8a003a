#include "coordinator/placement/placement.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace expertmesh {
namespace {

TEST(DealExperts, CoversAllOnceAndEvenly) {
  for (int workers = 1; workers <= 9; ++workers) {
    for (int experts : {1, 7, 16, 64}) {
      const ExpertGrid grid{1, 5, experts};
      std::vector<EmptyWorker> names(workers, EmptyWorker{"w", 1000});
      auto dealt = DealExperts(ExpertSet::Full(grid), names);
      ExpertSet all(grid);
      int64_t total = 0, least = INT64_MAX, most = 0;
      for (const ExpertSet& set : dealt) {
        total += set.size();
        least = std::min(least, set.size());
        most = std::max(most, set.size());
        all.InsertAll(set);
      }
      EXPECT_EQ(total, grid.size());
      EXPECT_EQ(all.size(), grid.size());
      EXPECT_LE(most - least, 1) << workers << " workers, " << experts << " experts";
    }
  }
}

TEST(DealExperts, GivesTheExampleOfItsHeader) {
  const ExpertGrid grid{0, 3, 8};
  auto dealt = DealExperts(ExpertSet::Full(grid), {{"a", 99}, {"b", 99}, {"c", 99}});
  EXPECT_EQ(dealt[0].ToText(), "layers 0-1: experts 0-2; layer 2: experts 0-1");
}

TEST(DealExperts, NeverGivesMoreThanFitsAndUsesTheRoomOfOthers) {
  const ExpertGrid grid{0, 2, 8};
  auto dealt = DealExperts(ExpertSet::Full(grid), {{"small", 3}, {"large", 100}});
  EXPECT_EQ(dealt[0].size(), 3);
  EXPECT_EQ(dealt[1].size(), 13);
  dealt = DealExperts(ExpertSet::Full(grid), {{"small", 3}, {"smaller", 2}});
  EXPECT_EQ(dealt[0].size() + dealt[1].size(), 5);
}

TEST(DealExperts, DealsOnlyWhatIsWanted) {
  const ExpertGrid grid{0, 2, 8};
  ExpertSet wanted(grid);
  wanted.Insert(1, 5);
  auto dealt = DealExperts(wanted, {{"a", 9}, {"b", 9}});
  EXPECT_EQ(dealt[0].size() + dealt[1].size(), 1);
  EXPECT_TRUE(DealExperts(wanted, {}).empty());
}

}  // namespace
}  // namespace expertmesh
