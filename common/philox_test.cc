#include "common/philox.h"

#include <gtest/gtest.h>

#include <set>

namespace expertmesh {
namespace {

// The known answers that Random123 publishes for philox4x32 with ten rounds.
TEST(Philox4x32, GivesTheKnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformDraw, PacksSeedAndPlaceAsItsHeaderSays) {
  constexpr uint64_t kSeed = 0x299f31d0a4093822;
  const DrawPlace place{.choice = 3, .output_index = 70000, .draw = 2};
  const PhiloxBlock block = Philox4x32({2, 70000, 3, 0}, {0xa4093822, 0x299f31d0});
  const uint64_t bits = (uint64_t{block[1]} << 32 | block[0]) >> 11;
  const double u = UniformDraw(kSeed, place);
  EXPECT_EQ(u * 0x1p53, static_cast<double>(bits));
  EXPECT_GE(u, 0);
  EXPECT_LT(u, 1);
}

TEST(UniformDraw, DiffersInEachPartOfItsPlace) {
  std::set<double> seen;
  int drawn = 0;
  for (uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
    for (uint32_t choice : {0u, 1u}) {
      for (uint32_t index : {0u, 1u, 2u}) {
        for (uint32_t draw : {0u, 1u}) {
          seen.insert(UniformDraw(seed, {.choice = choice, .output_index = index, .draw = draw}));
          ++drawn;
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(drawn));
}

// Mean 1/2 and variance 1/12, within four standard errors.
TEST(UniformDraw, IsUniform) {
  constexpr int kDraws = 100000;
  double sum = 0, squares = 0;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const double u = UniformDraw(20240507, {.output_index = i});
    sum += u;
    squares += (u - 0.5) * (u - 0.5);
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 4 * 0.2887 / 316.2);
  EXPECT_NEAR(squares / kDraws, 1.0 / 12, 4 * 0.0745 / 316.2);
}

}  // namespace
}  // namespace expertmesh
