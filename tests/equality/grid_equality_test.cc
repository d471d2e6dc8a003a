// The first promise, of every kind of model that we read: the embedded fleet and one attention
// worker with three expert workers give the same bits.
#include <gtest/gtest.h>

#include "common/log.h"
#include "tests/equality/ask.h"
#include "tests/support/golden_models.h"

namespace expertmesh {
namespace {

class GridEquality : public testing::TestWithParam<GoldenModel> {
 protected:
  static void SetUpTestSuite() { StartLogging("grid-equality", "warn"); }

  static EmbeddedOptions OptionsFor(const std::string& checkpoint) {
    EmbeddedOptions options;
    options.attention.model_folder = options.expert.model_folder = checkpoint;
    options.attention.threads = options.expert.threads = 1;
    return options;
  }
};

TEST_P(GridEquality, OfTheEmbeddedFleetAndOneByThree) {
  const auto vocabulary = static_cast<int32_t>(GetParam().config.vocabulary);
  std::vector<GenerateRequest> requests = SeededRequests(9, 11, vocabulary);
  AskForSampling(requests, 12, vocabulary);
  auto embedded = StartWhole(OptionsFor(GetParam().checkpoint));
  ASSERT_NE(embedded, nullptr);
  std::vector<Bits> wanted;
  for (const GenerateRequest& request : requests) wanted.push_back(Ask(*embedded, request).bits);

  EmbeddedOptions options = OptionsFor(GetParam().checkpoint);
  options.expert_workers = 3;
  options.attention.prefill_chunk = 7;
  auto split = StartWhole(options);
  ASSERT_NE(split, nullptr);
  EXPECT_EQ(Ask(*split, requests[0]).bits, wanted[0]) << "alone";
  const std::vector<Bits> together = AskTogether(*split, requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(together[i], wanted[i]) << "request " << i << " among the others";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GridEquality,
                         testing::ValuesIn(GoldenModels(EXPERTMESH_SOURCE_DIR,
                                                        Architecture::kCausalLm)),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace expertmesh
