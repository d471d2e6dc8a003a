#include "attention_worker/core/experts/expert_classes.h"

#include <gtest/gtest.h>

#include "attention_worker/core/test_fakes.h"

namespace expertmesh {
namespace {

constexpr ExpertGrid kGrid{1, 2, 4};

Member Expert(const std::string& name, int32_t first, int32_t last, uint64_t fingerprint) {
  Member member = ExpertMember(name, kGrid, first, last);
  member.compute_class = {"cpu-f32", fingerprint};
  return member;
}

class ExpertClassesTest : public testing::Test {
 protected:
  bool Update(std::vector<Member> members) {
    return classes_.Update(*TopologyOf(kGrid, std::move(members), ++counter_));
  }
  ExpertClasses classes_;
  uint64_t counter_ = 0;
};

TEST_F(ExpertClassesTest, WhoComesFirstChangesNothing) {
  EXPECT_FALSE(Update({}));
  EXPECT_FALSE(Update({Expert("e0", 0, 1, 7)}));
  EXPECT_FALSE(Update({Expert("e0", 0, 1, 7), Expert("e1", 2, 3, 8)}));
  EXPECT_FALSE(Update({Expert("e0", 0, 1, 7), Expert("e1", 2, 3, 8)}));
}

TEST_F(ExpertClassesTest, AnotherLifeOrReplicaOfTheSameClassChangesNothing) {
  Update({Expert("e0", 0, 3, 7)});
  EXPECT_FALSE(Update({Expert("e0", 0, 3, 7), Expert("e1", 2, 3, 7)}));
  EXPECT_FALSE(Update({Expert("e9", 0, 3, 7)}));
}

TEST_F(ExpertClassesTest, ACaptureByAnotherClassIsAChangeAlsoAfterAGap) {
  Update({Expert("e0", 0, 1, 7), Expert("e1", 2, 3, 7)});
  EXPECT_FALSE(Update({Expert("e0", 0, 1, 7)})) << "nobody holds 2 and 3";
  EXPECT_TRUE(Update({Expert("e0", 0, 1, 7), Expert("e2", 3, 3, 8)}));
  EXPECT_FALSE(Update({Expert("e0", 0, 1, 7), Expert("e2", 3, 3, 8)})) << "said once";
}

TEST_F(ExpertClassesTest, OnlyExpertWorkersThatServeCount) {
  Update({Expert("e0", 0, 3, 7)});
  Member loading = Expert("e1", 0, 3, 8), attention = Expert("a0", 0, 3, 8);
  loading.state = WorkerState::kLoading;
  attention.role = WorkerRole::kAttention;
  EXPECT_FALSE(Update({attention, Expert("e0", 0, 3, 7), loading}));
  loading.state = WorkerState::kDraining;
  EXPECT_TRUE(Update({attention, Expert("e0", 0, 3, 7), loading}));
}

}  // namespace
}  // namespace expertmesh
