#include "coordinator/placement/replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using testing::ElementsAre;

std::vector<int32_t> Count(std::vector<double> loads, ReplicaLimits limits) {
  return CountReplicas(loads, limits);
}

TEST(CountReplicas, GivesTheExampleOfItsHeader) {
  EXPECT_THAT(Count({6, 2, 1, 1}, {6, 4, 0}), ElementsAre(3, 1, 1, 1));
}

TEST(CountReplicas, GivesNoExpertMoreThanThereAreWorkers) {
  EXPECT_THAT(Count({9, 1, 1}, {9, 2, 0}), ElementsAre(2, 2, 2));
}

TEST(CountReplicas, StopsWhereNothingIsHot) {
  EXPECT_THAT(Count({8, 2, 1}, {20, 9, 2}), ElementsAre(4, 1, 1));
}

TEST(CountReplicas, GivesEachOneEvenWithoutSlots) {
  EXPECT_THAT(Count({3, 2, 1}, {0, 0, 0}), ElementsAre(1, 1, 1));
  EXPECT_TRUE(Count({}, {5, 5, 0}).empty());
}

TEST(CountReplicas, GivesTheFavouriteItsSecondFirst) {
  EXPECT_THAT(Count({6, 2, 1}, {4, 4, 0, 2}), ElementsAre(1, 1, 2));
}

}  // namespace
}  // namespace expertmesh
