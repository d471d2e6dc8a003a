#include "model/rope.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <utility>

#include "common/hash.h"

namespace expertmesh {
namespace {

// The rope of every published DeepSeek-V2 checkpoint.
ModelConfig PublishedRope() {
  ModelConfig config;
  config.qk_rope_dim = 64;
  config.rope_theta = 10000;
  config.yarn = YarnConfig{
      .factor = 40, .original_max_position = 4096, .mscale = 0.707, .mscale_all_dim = 0.707};
  return config;
}

// Within one unit in the last place of an f32.
void ExpectSameFloat(float found, double expected) {
  const float rounded = static_cast<float>(expected);
  const float ulp = std::abs(std::nextafter(rounded, INFINITY) - rounded);
  EXPECT_NEAR(found, expected, ulp);
}

TEST(RopeFrequencies, AreThePublishedOnesUnderYarn) {
  const std::pair<int, double> expected[] = {{0, 1},
                                             {1, .749894209},
                                             {5, .237137371},
                                             {9, .0749894209},
                                             {10, .0562341325},
                                             {11, .0390069266},
                                             {12, .0268793601},
                                             {15, .00833450895},
                                             {16, .0055},
                                             {20, .000790569415},
                                             {22, .000177827941},
                                             {23, 3.33380358e-5},
                                             {24, 2.5e-5},
                                             {31, 3.33380358e-6}};
  const std::vector<float> found = RopeFrequencies(PublishedRope());
  ASSERT_EQ(found.size(), 32u);
  // f32 rounds the ramp, the power and two products: a few units in the last place.
  for (const auto& [i, value] : expected) EXPECT_NEAR(found[i] / value, 1, 4e-7) << i;
}

TEST(RopeFrequencies, AreThePowersOfThetaWithoutYarn) {
  ModelConfig config = PublishedRope();
  config.yarn.reset();
  const std::vector<float> found = RopeFrequencies(config);
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(found[i] / std::pow(10000.0, -i / 32.0), 1, 2e-7) << i;
}

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// What torch 2.13 gives for the same formulas, with transformers 5.24's roundings.
TEST(RopeFrequencies, HaveTheReferencesBits) {
  const std::vector<uint32_t> published = {
      0x3f800000, 0x3f3ff911, 0x3f0ff59a, 0x3ed7e89b, 0x3ea1e89b, 0x3e72d423, 0x3e361887,
      0x3e088d77, 0x3dcccccd, 0x3d99940d, 0x3d6655c2, 0x3d1fc5ba, 0x3cdc321b, 0x3c968dc3,
      0x3c4bf283, 0x3c088d77, 0x3bb43959, 0x3b697066, 0x3b136a16, 0x3ab3a2cd, 0x3a4f3e37,
      0x39d99312, 0x393a7753, 0x380bd471, 0x37d1b717, 0x379d43a3, 0x376bdcf0, 0x3730df51,
      0x3704a2b3, 0x36c6ecdd, 0x36952c42, 0x365fba4f,
  };
  const std::vector<uint32_t> without_truncate = {
      0x3f800000, 0x3f3ff911, 0x3f0ff59a, 0x3ed7e89b, 0x3ea1e89b, 0x3e72d423, 0x3e361887,
      0x3e088d77, 0x3dcccccd, 0x3d99940d, 0x3d6655c2, 0x3d25587b, 0x3ce301e2, 0x3c9a806a,
      0x3c5020d8, 0x3c0a6214, 0x3bb50332, 0x3b67afca, 0x3b0fe640, 0x3aab1036, 0x3a3d6f6d,
      0x39b77117, 0x38f846e2, 0x380bd471, 0x37d1b717, 0x379d43a3, 0x376bdcf0, 0x3730df51,
      0x3704a2b3, 0x36c6ecdd, 0x36952c42, 0x365fba4f,
  };
  const std::vector<uint32_t> short_context = {
      0x3f800000, 0x3e5d4e6c, 0x3b91ad39, 0x3af5b9b0,
      0x3a4f3e38, 0x39aec98f, 0x39136a16, 0x3878a815,
  };
  ModelConfig config = PublishedRope();
  EXPECT_EQ(Bits(RopeFrequencies(config)), published);
  config.yarn->truncate = false;
  EXPECT_EQ(Bits(RopeFrequencies(config)), without_truncate);
  config = PublishedRope();
  config.qk_rope_dim = 16;
  config.rope_theta = 1000;
  config.yarn->original_max_position = 32;
  EXPECT_EQ(Bits(RopeFrequencies(config)), short_context);
}

TEST(RopeFrequencies, KeepTheRampsFractionsWithoutTruncate) {
  ModelConfig config = PublishedRope();
  config.yarn->truncate = false;  // the ramp runs from 10.472 to 22.513 instead of 10 to 23
  const std::vector<float> found = RopeFrequencies(config);
  const double ramp = (16 - 10.4718) / (22.5133 - 10.4718);
  EXPECT_NEAR(found[16], 0.01 * (1 - ramp) + 0.01 / 40 * ramp, 1e-6);
}

TEST(RopeFrequencies, SurviveARampOfNoWidth) {
  ModelConfig config = PublishedRope();
  config.qk_rope_dim = 2;
  EXPECT_EQ(RopeFrequencies(config).size(), 1u);
  config.qk_rope_dim = 64;
  config.yarn->original_max_position = 6;  // both ends clamp to 0
  const std::vector<float> found = RopeFrequencies(config);
  EXPECT_EQ(found[0], 1.0f);
  EXPECT_NEAR(found[1] / (std::pow(10000.0, -1 / 32.0) / 40), 1, 2e-7);
  config.yarn->original_max_position = 1;  // the upper end before the lower: nothing is stretched
  EXPECT_NEAR(RopeFrequencies(config)[1] / std::pow(10000.0, -1 / 32.0), 1, 2e-7);
}

TEST(RopeTable, HasCosineAndSineOfEachPairSideBySide) {
  const ModelConfig config = PublishedRope();
  const std::vector<float> frequencies = RopeFrequencies(config);
  const std::vector<float> table = RopeTable(config, 5000);
  ASSERT_EQ(table.size(), 5000u * 64);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(table[2 * i], 1.0f);
    EXPECT_EQ(table[2 * i + 1], 0.0f);
  }
  for (int64_t position : {1, 7, 4095, 4999}) {
    for (int i = 0; i < 32; ++i) {
      const float angle = static_cast<float>(position) * frequencies[i];
      ExpectSameFloat(table[position * 64 + 2 * i], std::cos(double{angle}));
      ExpectSameFloat(table[position * 64 + 2 * i + 1], std::sin(double{angle}));
    }
  }
}

// Any machine, any compiler: workers of one fleet must agree on every bit.
TEST(RopeTable, HasTheseBits) {
  const std::vector<float> table = RopeTable(PublishedRope(), 4096);
  EXPECT_EQ(Hash64(table.data(), table.size() * sizeof(float)), 10365477719035582582u);
}

TEST(RopeTable, IsAPrefixOfALongerOne) {
  const std::vector<float> longer = RopeTable(PublishedRope(), 100);
  const std::vector<float> shorter = RopeTable(PublishedRope(), 60);
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin()));
  EXPECT_TRUE(RopeTable(PublishedRope(), 0).empty());
}

// cos(0) times the factor.
float FactorOf(const ModelConfig& config) { return RopeTable(config, 1)[0]; }

TEST(RopeTable, IsScaledByTheRatioOfTheMagnitudes) {
  ModelConfig config = PublishedRope();
  const double log40 = std::log(40.0);
  EXPECT_EQ(FactorOf(config), 1.0f);
  config.yarn->mscale = 1.0;
  config.yarn->mscale_all_dim = 0.5;
  ExpectSameFloat(FactorOf(config), (0.1 * log40 + 1) / (0.05 * log40 + 1));
  config.yarn->mscale = 0.5;
  config.yarn->mscale_all_dim = 0;  // without both, the magnitude at 1
  ExpectSameFloat(FactorOf(config), 0.1 * log40 + 1);
  config.yarn->mscale = 0;
  config.yarn->mscale_all_dim = 0.707;
  ExpectSameFloat(FactorOf(config), 0.1 * log40 + 1);
  config.yarn->attention_factor = 1.75;
  EXPECT_EQ(FactorOf(config), 1.75f);
  config.yarn->attention_factor = 0;
  config.yarn->factor = 1;
  EXPECT_EQ(FactorOf(config), 1.0f);
}

}  // namespace
}  // namespace expertmesh
