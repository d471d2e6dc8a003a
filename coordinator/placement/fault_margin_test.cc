#include "coordinator/placement/fault_margin.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

// a holds 0 and 1, b holds 1 and 2, c holds 3.
PlacementInput ThreeWorkers(int64_t room) {
  PlacementInput fleet = EmptyFleet({0, 1, 4}, 3, room);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}, {0, 1}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 1}, {0, 2}});
  fleet.workers[2].holds = SetOf(fleet.grid, {{0, 3}});
  return fleet;
}

TEST(FaultMargins, AreByReplicaWhereAllIsHeldTwice) {
  PlacementInput fleet = ThreeWorkers(2);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 1}});
  EXPECT_EQ(FaultMargins(fleet)[0].margin, FaultMargin::kReplica);
  fleet.workers[0].holds = {};
  EXPECT_EQ(FaultMargins(fleet)[0].margin, FaultMargin::kReplica) << "it holds nothing";
}

TEST(FaultMargins, AreBySpareMemoryWhereTheRestFits) {
  const std::vector<WorkerMargin> margins = FaultMargins(ThreeWorkers(2));
  ASSERT_EQ(margins.size(), 3u);
  EXPECT_EQ(margins[0].name, "a");
  EXPECT_EQ(margins[0].margin, FaultMargin::kSpareMemory);
  EXPECT_EQ(margins[0].alone, 1);
  EXPECT_EQ(margins[0].spare, 1);  // of c
  EXPECT_EQ(margins[2].margin, FaultMargin::kNone) << "a and b are full";
}

TEST(FaultMargins, MemoryOfTheCordonedTheDrainingAndOtherClassesDoesNotCount) {
  for (int way = 0; way < 3; ++way) {
    PlacementInput fleet = ThreeWorkers(2);
    PlacementWorker& spare = fleet.workers[2];
    (way == 0 ? spare.cordoned : spare.draining) = way < 2;
    if (way == 2) spare.compute_class = 1;
    EXPECT_EQ(FaultMargins(fleet)[0].margin, FaultMargin::kNone) << way;
  }
}

TEST(FaultMargins, WhatIsOnItsWayNeedsNoSecondSlot) {
  PlacementInput fleet = ThreeWorkers(2);
  fleet.workers[2].loading = SetOf(fleet.grid, {{0, 0}});
  const WorkerMargin margin = FaultMargins(fleet)[0];
  EXPECT_EQ(margin.margin, FaultMargin::kSpareMemory);  // not yet a replica
  EXPECT_EQ(margin.alone, 0);
  EXPECT_EQ(margin.spare, 0);
}

TEST(FaultMargins, HaveNames) {
  EXPECT_EQ(Name(FaultMargin::kReplica), "replica");
  EXPECT_EQ(Name(FaultMargin::kSpareMemory), "spare memory");
  EXPECT_EQ(Name(FaultMargin::kNone), "none");
}

}  // namespace
}  // namespace expertmesh
