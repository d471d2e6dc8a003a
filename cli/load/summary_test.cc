#include "cli/load/summary.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/load/draws.h"

namespace expertmesh {
namespace {

// By the definition: ranks counted one by one, the value between two of them by their distance.
double SlowPercentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double wanted = share * (values.size() - 1);
  for (size_t rank = 0; rank + 1 < values.size(); ++rank) {
    if (wanted >= rank && wanted <= rank + 1) {
      return values[rank] * (rank + 1 - wanted) + values[rank + 1] * (wanted - rank);
    }
  }
  return values.back();
}

TEST(Summary, AgreesWithASlowReference) {
  for (uint32_t count = 1; count <= 230; ++count) {
    Draws draws({3, DrawStream::kFresh, 0, count});
    std::vector<double> values;
    for (uint32_t i = 0; i < count; ++i) values.push_back(draws.Exponential());
    const Summary summary = Summarize(values);
    EXPECT_EQ(summary.count, count);
    EXPECT_NEAR(summary.p50, SlowPercentile(values, 0.50), 1e-9) << count;
    EXPECT_NEAR(summary.p90, SlowPercentile(values, 0.90), 1e-9) << count;
    EXPECT_NEAR(summary.p95, SlowPercentile(values, 0.95), 1e-9) << count;
    EXPECT_NEAR(summary.p99, SlowPercentile(values, 0.99), 1e-9) << count;
    EXPECT_EQ(summary.max, *std::max_element(values.begin(), values.end()));
  }
}

TEST(Summary, OfFewValuesCanBeDoneByHand) {
  const Summary summary = Summarize({40, 10, 30, 20});
  EXPECT_DOUBLE_EQ(summary.mean, 25);
  EXPECT_DOUBLE_EQ(summary.p50, 25);
  EXPECT_DOUBLE_EQ(summary.p90, 37);
  EXPECT_EQ(Summarize({}).count, 0);
  EXPECT_EQ(Summarize({7}).p99, 7);
}

}  // namespace
}  // namespace expertmesh
