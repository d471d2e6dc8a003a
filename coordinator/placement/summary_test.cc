#include "coordinator/placement/summary.h"

#include <gtest/gtest.h>

#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

TEST(Summarize, CountsWhatAnOperatorWouldCount) {
  PlacementInput fleet = EmptyFleet({3, 2, 2}, 3, 4);
  fleet.loads = {6, 2, 4, 4};
  fleet.workers[0].holds = SetOf(fleet.grid, {{3, 0}, {4, 0}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{3, 1}, {4, 1}});
  fleet.workers[2].loading = SetOf(fleet.grid, {{3, 0}});
  const BalanceSummary summary = Summarize(fleet);
  // a: 3 + 4, b: 2 + 4, c: 3; the mean is 16 / 3.
  EXPECT_DOUBLE_EQ(summary.total_max_over_mean, 7 / (16.0 / 3));
  EXPECT_DOUBLE_EQ(summary.total_min_over_mean, 3 / (16.0 / 3));
  EXPECT_DOUBLE_EQ(summary.layer_max_over_mean, 4 / (8.0 / 3));
  EXPECT_EQ(summary.worst_layer, 4);
  EXPECT_EQ(summary.covered, 4);
  EXPECT_EQ(summary.replicas, 1);
}

TEST(Summarize, LeavesDrainingWorkersAndThoseThatGetNothingOutOfTheMean) {
  PlacementInput fleet = EmptyFleet({0, 1, 2}, 4, 2);
  fleet.workers[0].holds = SetOf(fleet.grid, {{0, 0}});
  fleet.workers[1].holds = SetOf(fleet.grid, {{0, 1}});
  fleet.workers[2].cordoned = true;
  fleet.workers[3].draining = true;
  EXPECT_DOUBLE_EQ(Summarize(fleet).total_max_over_mean, 1);
}

TEST(Summarize, TellsHowManyWorkersATokenUses) {
  PlacementInput fleet = EmptyFleet({0, 1, 8}, 4, 8);
  fleet.routing = {4, 2, 4};  // two groups, two experts of each
  for (int32_t e = 0; e < 8; ++e) fleet.workers[e / 2].holds.Insert(0, e);
  EXPECT_DOUBLE_EQ(Summarize(fleet).fan_out, 2) << "one worker a group";
  PlacementInput scattered = fleet;
  for (PlacementWorker& worker : scattered.workers) worker.holds = ExpertSet(fleet.grid);
  for (int32_t e = 0; e < 8; ++e) scattered.workers[e % 4].holds.Insert(0, e);
  EXPECT_GT(Summarize(scattered).fan_out, 2.2);
}

TEST(Summarize, SplitsTheRowsOfAnExpertOverItsReplicas) {
  PlacementInput fleet = EmptyFleet({0, 1, 2}, 2, 2);
  fleet.routing = {1, 1, 1};
  for (PlacementWorker& worker : fleet.workers) worker.holds = ExpertSet::Full(fleet.grid);
  EXPECT_DOUBLE_EQ(Summarize(fleet).fan_out, 1) << "one row goes to one worker";
}

TEST(Summarize, OfNothingIsEven) {
  EXPECT_EQ(Summarize({}).total_max_over_mean, 1);
  EXPECT_EQ(Summarize(EmptyFleet({0, 2, 2}, 2, 4)).layer_max_over_mean, 1);
}

}  // namespace
}  // namespace expertmesh
