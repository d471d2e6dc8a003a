#include "cli/load/length.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

constexpr int kDraws = 20000;

std::vector<int32_t> Drawn(const std::string& text) {
  auto length = LengthDistribution::Parse(text);
  EXPECT_TRUE(length.ok()) << length.status();
  Draws draws({7, DrawStream::kLengths});
  std::vector<int32_t> lengths;
  for (int i = 0; i < kDraws; ++i) lengths.push_back(length->Draw(draws));
  return lengths;
}

double MeanOf(const std::vector<int32_t>& lengths) {
  double sum = 0;
  for (const int32_t length : lengths) sum += length;
  return sum / lengths.size();
}

TEST(LengthDistribution, ANumberIsAlwaysThat) {
  for (const int32_t length : Drawn("128")) ASSERT_EQ(length, 128);
}

TEST(LengthDistribution, ARangeIsUniformWithBothEnds) {
  const std::vector<int32_t> lengths = Drawn("3..6");
  for (const int32_t length : {3, 4, 5, 6}) {
    EXPECT_NEAR(std::count(lengths.begin(), lengths.end(), length), kDraws / 4, kDraws / 50);
  }
  EXPECT_EQ(*std::min_element(lengths.begin(), lengths.end()), 3);
  EXPECT_EQ(*std::max_element(lengths.begin(), lengths.end()), 6);
}

TEST(LengthDistribution, ALognormalHasItsMeanAndItsEnd) {
  EXPECT_NEAR(MeanOf(Drawn("lognormal:200:0.8:100000")), 200, 6);
  const std::vector<int32_t> cut = Drawn("lognormal:200:0.8:250");
  EXPECT_EQ(*std::max_element(cut.begin(), cut.end()), 250);
  EXPECT_GE(*std::min_element(cut.begin(), cut.end()), 1);
  const std::vector<int32_t> all_alike = Drawn("lognormal:200:0:250");
  EXPECT_EQ(*std::min_element(all_alike.begin(), all_alike.end()), 200);
  EXPECT_EQ(*std::max_element(all_alike.begin(), all_alike.end()), 200);
}

// The logarithm's deviation, by the share within one of them.
TEST(LengthDistribution, ALognormalIsAsWideAsItsSigma) {
  const std::vector<int32_t> lengths = Drawn("lognormal:1000:0.5:1000000");
  const double middle = 1000 * std::exp(-0.125);
  const auto within = std::count_if(lengths.begin(), lengths.end(), [&](int32_t length) {
    return length > middle * std::exp(-0.5) && length < middle * std::exp(0.5);
  });
  EXPECT_NEAR(within, 0.6827 * kDraws, 0.02 * kDraws);
}

TEST(LengthDistribution, RefusesWhatIsNoLength) {
  const auto refusal = [](const std::string& text) {
    return std::string(LengthDistribution::Parse(text).status().message());
  };
  EXPECT_THAT(refusal(""), HasSubstr("is no length"));
  EXPECT_THAT(refusal("many"), HasSubstr("\"many\" is no length"));
  EXPECT_THAT(refusal("4.."), HasSubstr("is no length"));
  EXPECT_THAT(refusal("1..2..3"), HasSubstr("is no length"));
  EXPECT_THAT(refusal("0"), HasSubstr("is 0; it goes from 1 to 1048576"));
  EXPECT_THAT(refusal("1..1048577"), HasSubstr("is 1048577; it goes from 1"));
  EXPECT_THAT(refusal("9..8"), HasSubstr("range 9..8 is empty"));
  EXPECT_THAT(refusal("lognormal:10:1"), HasSubstr("is not like lognormal:MEAN:SIGMA:MAX"));
  EXPECT_THAT(refusal("lognormal:x:1:20"), HasSubstr("is not like lognormal:MEAN:SIGMA:MAX"));
  EXPECT_THAT(refusal("lognormal:30:1:20"), HasSubstr("mean"));
  EXPECT_THAT(refusal("lognormal:nan:1:20"), HasSubstr("mean"));
  EXPECT_THAT(refusal("lognormal:10:4.5:20"), HasSubstr("sigma"));
  EXPECT_THAT(refusal("lognormal:10:-1:20"), HasSubstr("sigma"));
  EXPECT_THAT(refusal("lognormal:10:1:0"), HasSubstr("is 0"));
  EXPECT_EQ(refusal("1048576"), "");
}

}  // namespace
}  // namespace expertmesh
