#include "common/ids.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

TEST(Epoch, OrdersByTermBeforeCounter) {
  EXPECT_LT((Epoch{1, 900}), (Epoch{2, 1}));
  EXPECT_LT((Epoch{2, 1}), (Epoch{2, 2}));
  EXPECT_LT(Epoch(), (Epoch{1, 1})) << "none seen yet is older than all";
}

TEST(Incarnation, OfALaterTermIsNewerWhateverItsNumber) {
  EXPECT_LT((Incarnation{3, 99}), (Incarnation{4, 1}));
  EXPECT_LT((Incarnation{3, 5}), (Incarnation{3, 6}));
  EXPECT_LT(Incarnation(), (Incarnation{1, 0}));
}

TEST(CallId, IsTheSameOnlyWhenBothHalvesAre) {
  const CallId call{{3, 5}, 1042};
  EXPECT_EQ(call, (CallId{{3, 5}, 1042}));
  EXPECT_NE(call, (CallId{{3, 6}, 1042})) << "another life of the sender";
  EXPECT_NE(call, (CallId{{4, 5}, 1042}));
  EXPECT_NE(call, (CallId{{3, 5}, 1043}));
}

TEST(ComputeClass, OfOneNameWithAnotherHashIsAnotherClass) {
  EXPECT_NE((ComputeClass{"cpu-f32", 1}), (ComputeClass{"cpu-f32", 2}));
  EXPECT_NE((ComputeClass{"cpu-f32", 1}), (ComputeClass{"cpu-bf16", 1}));
}

TEST(Ids, AreWrittenAsTheirHeaderSays) {
  EXPECT_EQ(ToString(Epoch{3, 17}), "3.17");
  EXPECT_EQ(ToString(Incarnation{3, 5}), "3#5");
  EXPECT_EQ(ToString(CallId{{3, 5}, 1042}), "3#5/1042");
  EXPECT_EQ(ToString(ModelFingerprint{0x0123456789abcdef, 0xfe}),
            "0123456789abcdef00000000000000fe");
  EXPECT_EQ(ToString(ComputeClass{"cpu-f32", 0x9f86d081884c7d65}), "cpu-f32/9f86d081884c7d65");
}

}  // namespace
}  // namespace expertmesh
