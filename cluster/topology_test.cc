#include "cluster/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const ExpertGrid kGrid{1, 2, 4};  // layers 1 and 2 of four experts

ExpertSet Range(int32_t first, int32_t last, ExpertGrid grid = kGrid) {
  ExpertSet set(grid);
  for (int32_t layer = grid.first_layer; layer < grid.first_layer + grid.layers; ++layer) {
    for (int32_t e = first; e <= last; ++e) set.Insert(layer, e);
  }
  return set;
}

Member Expert(const std::string& name, ExpertSet holds, WorkerState state = WorkerState::kReady) {
  Member member;
  member.name = name;
  member.role = WorkerRole::kExpert;
  member.state = state;
  member.holds = std::move(holds);
  return member;
}

Topology Of(std::vector<Member> members) {
  Topology topology;
  topology.model.grid = kGrid;
  topology.members = std::move(members);
  return topology;
}

TEST(Uncovered, IsWhatNoReadyExpertWorkerHolds) {
  EXPECT_EQ(Uncovered(Of({})), ExpertSet::Full(kGrid));
  EXPECT_EQ(Uncovered(Of({Expert("e0", Range(0, 1))})), Range(2, 3));
  EXPECT_TRUE(Uncovered(Of({Expert("e0", Range(0, 2)), Expert("e1", Range(2, 3))})).empty());
}

TEST(Uncovered, CountsNeitherWhoDoesNotServeNorWhoIsNoExpertWorker) {
  EXPECT_EQ(Uncovered(Of({Expert("e0", Range(0, 3), WorkerState::kDraining)})).size(), 0);
  for (WorkerState state :
       {WorkerState::kJoining, WorkerState::kLoading, WorkerState::kGone, WorkerState::kLost}) {
    EXPECT_EQ(Uncovered(Of({Expert("e0", Range(0, 3), state)})).size(), 8) << Name(state);
  }
  Member attention = Expert("a0", Range(0, 3));
  attention.role = WorkerRole::kAttention;
  EXPECT_EQ(Uncovered(Of({attention})).size(), 8);
}

TEST(Uncovered, CountsNoSetOfAnotherGrid) {
  EXPECT_EQ(Uncovered(Of({Expert("e0", Range(0, 3, {0, 2, 4}))})).size(), 8);
  EXPECT_EQ(Uncovered(Of({Expert("e0", ExpertSet())})).size(), 8);
}

TEST(Uncovered, IsNothingForAModelWithoutRoutedExperts) {
  EXPECT_TRUE(Uncovered(Topology()).empty());
}

TEST(ReplicaTable, NamesEveryHolderInTheOrderOfTheMembers) {
  Member attention;
  attention.name = "a0";
  attention.role = WorkerRole::kAttention;
  attention.state = WorkerState::kReady;
  const Topology topology = Of({attention, Expert("e0", Range(0, 1)), Expert("e1", Range(1, 2)),
                                Expert("e2", Range(0, 3), WorkerState::kLoading)});
  const ReplicaTable table(topology);
  for (int32_t layer : {1, 2}) {
    EXPECT_THAT(table.Of(layer, 0), ElementsAre(1));
    EXPECT_THAT(table.Of(layer, 1), ElementsAre(1, 2));
    EXPECT_THAT(table.Of(layer, 2), ElementsAre(2));
    EXPECT_THAT(table.Of(layer, 3), IsEmpty());
  }
}

TEST(ReplicaTable, KeepsLayersApart) {
  ExpertSet one(kGrid);
  one.Insert(2, 3);
  const ReplicaTable table(Of({Expert("e0", one)}));
  EXPECT_THAT(table.Of(2, 3), ElementsAre(0));
  EXPECT_THAT(table.Of(1, 3), IsEmpty());
}

TEST(ReplicaTable, HasNothingOutsideTheGrid) {
  const ReplicaTable table(Of({Expert("e0", Range(0, 3))}));
  for (auto [layer, expert] :
       {std::pair{0, 0}, {3, 0}, {1, 4}, {1, -1}, {-1, 0}, {INT32_MAX, 0}, {1, INT32_MAX}}) {
    EXPECT_THAT(table.Of(layer, expert), IsEmpty()) << layer << ", " << expert;
  }
  EXPECT_THAT(ReplicaTable().Of(0, 0), IsEmpty());
}

TEST(ReplicaTable, AgreesWithUncovered) {
  const Topology topology =
      Of({Expert("e0", Range(0, 0)), Expert("e1", Range(2, 3), WorkerState::kDraining)});
  const ExpertSet uncovered = Uncovered(topology);
  const ReplicaTable table(topology);
  for (int32_t layer : {1, 2}) {
    for (int32_t e = 0; e < 4; ++e) {
      EXPECT_EQ(table.Of(layer, e).empty(), uncovered.Contains(layer, e)) << layer << ", " << e;
    }
  }
}

TEST(Names, AreThoseThatOperatorsRead) {
  EXPECT_EQ(Name(WorkerRole::kAttention), "attention");
  EXPECT_EQ(Name(WorkerRole::kExpert), "expert");
  EXPECT_EQ(Name(WorkerState::kJoining), "JOINING");
  EXPECT_EQ(Name(WorkerState::kLoading), "LOADING");
  EXPECT_EQ(Name(WorkerState::kReady), "READY");
  EXPECT_EQ(Name(WorkerState::kDraining), "DRAINING");
  EXPECT_EQ(Name(WorkerState::kGone), "GONE");
  EXPECT_EQ(Name(WorkerState::kLost), "LOST");
}

}  // namespace
}  // namespace expertmesh
