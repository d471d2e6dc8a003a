#include "coordinator/membership/publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr ExpertGrid kGrid{1, 1, 6};
const ComputeClass kHere{"cpu-f32", 1}, kElsewhere{"cpu-f32", 2};

Member Expert(const std::string& name, int32_t first, int32_t last, const ComputeClass& its_class) {
  Member member;
  member.name = name;
  member.role = WorkerRole::kExpert;
  member.incarnation = {1, 7};
  member.state = WorkerState::kReady;
  member.compute_class = its_class;
  member.holds = ExpertSet(kGrid);
  for (int32_t e = first; e <= last; ++e) member.holds.Insert(1, e);
  return member;
}

class PublicationTest : public testing::Test {
 protected:
  std::vector<Member> List(std::vector<Member> ready, const Topology* last = nullptr) {
    notes_.clear();
    return ListMembers(std::move(ready), last, &notes_);
  }
  static Topology Of(std::vector<Member> members) {
    Topology topology;
    topology.members = std::move(members);
    return topology;
  }
  std::map<std::string, std::string> notes_;
};

TEST_F(PublicationTest, ListsAttentionWorkersFirstThenByName) {
  Member attention = Expert("z", 0, -1, kElsewhere);
  attention.role = WorkerRole::kAttention;
  attention.holds = ExpertSet();
  const auto listed = List({Expert("b", 0, 2, kHere), attention, Expert("a", 3, 5, kHere)});
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_EQ(listed[0].name, "z");
  EXPECT_EQ(listed[1].name, "a");
  EXPECT_EQ(listed[2].name, "b");
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(PublicationTest, ReplicasOfOneClassAreAllListed) {
  const auto listed = List({Expert("a", 0, 3, kHere), Expert("b", 2, 5, kHere)});
  EXPECT_EQ(listed[0].holds.size(), 4);
  EXPECT_EQ(listed[1].holds.size(), 4);
}

TEST_F(PublicationTest, ClassesMayDifferWhereExpertsDo) {
  const auto listed = List({Expert("a", 0, 2, kHere), Expert("b", 3, 5, kElsewhere)});
  EXPECT_EQ(listed[0].holds.size(), 3);
  EXPECT_EQ(listed[1].holds.size(), 3);
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(PublicationTest, OfTwoClassesThatHoldOneExpertTheListedOneStays) {
  const Topology last = Of({Expert("b", 2, 5, kElsewhere)});
  const auto listed = List({Expert("a", 0, 3, kHere), Expert("b", 2, 5, kElsewhere)}, &last);
  EXPECT_EQ(listed[0].holds.ToText(), "layer 1: experts 0-1");
  EXPECT_EQ(listed[1].holds.size(), 4);
  EXPECT_THAT(notes_["a"], HasSubstr("not used for layer 1: experts 2-3: its compute class is "
                                     "cpu-f32/0000000000000001, theirs is "
                                     "cpu-f32/0000000000000002"));
}

TEST_F(PublicationTest, AWorkerThatHoldsNothingClaimsNothing) {
  Member silent = Expert("a", 0, -1, kHere);
  silent.holds = ExpertSet();  // no grid either
  const auto listed = List({silent, Expert("b", 0, 5, kHere), Expert("c", 0, 5, kElsewhere)});
  EXPECT_EQ(listed[1].holds.size(), 6);
  EXPECT_EQ(listed[2].holds.size(), 0);
}

TEST_F(PublicationTest, AmongNewOnesTheLowerNameWins) {
  const auto listed = List({Expert("b", 0, 5, kElsewhere), Expert("a", 0, 3, kHere)});
  EXPECT_EQ(listed[0].holds.size(), 4);
  EXPECT_EQ(listed[1].holds.ToText(), "layer 1: experts 4-5");
}

// The claim of a life that is gone, or of what it no longer has, is nobody's.
TEST_F(PublicationTest, OnlyWhatTheSameLifeStillHoldsIsClaimedBefore) {
  Member older = Expert("b", 0, 5, kElsewhere);
  older.incarnation = {1, 3};
  Topology last = Of({older});
  auto listed = List({Expert("a", 0, 5, kHere), Expert("b", 0, 5, kElsewhere)}, &last);
  EXPECT_EQ(listed[0].holds.size(), 6);
  EXPECT_EQ(listed[1].holds.size(), 0);
  last = Of({Expert("b", 0, 5, kElsewhere)});
  listed = List({Expert("a", 0, 5, kHere), Expert("b", 4, 5, kElsewhere)}, &last);
  EXPECT_EQ(listed[0].holds.size(), 4);
  EXPECT_EQ(listed[1].holds.size(), 2);
}

}  // namespace
}  // namespace expertmesh
