// The first promise, asked of separate processes: the same ids and logprob bits however the fleet
// is split, alone and among others, whatever the prefill chunk.
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"
#include "tests/integration/process_cluster.h"

namespace expertmesh {
namespace {

constexpr char kModel[] = EXPERTMESH_SOURCE_DIR "/models/tiny";
constexpr int32_t kVocabulary = 2048;

class SplitTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    StartLogging("split", "error");
    requests_ = new std::vector<GenerateRequest>(SeededRequests(33, 11, kVocabulary));
    embedded_ = new std::vector<Bits>(requests_->size());
    EmbeddedOptions options;
    options.attention.model_folder = options.expert.model_folder = kModel;
    auto cluster = EmbeddedCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    ASSERT_TRUE((*cluster)->WaitUntilWhole(std::chrono::seconds(30)).ok());
    for (size_t i = 0; i < requests_->size(); ++i) {
      const absl::Status status = (*cluster)->Generate(
          (*requests_)[i], [&](const Delta& delta) { AddTo((*embedded_)[i], delta); });
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_EQ((*embedded_)[i].ids.size(), static_cast<size_t>((*requests_)[i].max_tokens));
    }
  }

  static Bits Ask(ProcessCluster& cluster, const GenerateRequest& request) {
    Bits bits;
    const absl::Status status =
        cluster.client().Generate(AsUser(request), [&](const Delta& delta) { AddTo(bits, delta); });
    EXPECT_TRUE(status.ok()) << status;
    return bits;
  }

  static void ExpectSame(int attention, int experts, const std::string& chunk) {
    SCOPED_TRACE(absl::StrCat(attention, " x ", experts, ", prefill chunk ", chunk));
    ProcessClusterOptions options;
    options.model = kModel;
    options.attention_workers = attention;
    options.expert_workers = experts;
    options.attention_flags = {"--prefill-chunk", chunk};
    ProcessCluster cluster(options);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(Ask(cluster, (*requests_)[i]), (*embedded_)[i]) << "request " << i << " alone";
    }
    std::vector<Bits> together(requests_->size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < requests_->size(); ++i) {
      threads.emplace_back([&, i] { together[i] = Ask(cluster, (*requests_)[i]); });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < together.size(); ++i) {
      EXPECT_EQ(together[i], (*embedded_)[i]) << "request " << i << " among the others";
    }
  }

  static std::vector<GenerateRequest>* requests_;
  static std::vector<Bits>* embedded_;
};

std::vector<GenerateRequest>* SplitTest::requests_ = nullptr;
std::vector<Bits>* SplitTest::embedded_ = nullptr;

TEST_F(SplitTest, OneByOneGivesTheBitsOfEmbedded) { ExpectSame(1, 1, "4096"); }
TEST_F(SplitTest, OneByTwoGivesTheBitsOfEmbedded) { ExpectSame(1, 2, "1"); }
TEST_F(SplitTest, OneByThreeGivesTheBitsOfEmbedded) { ExpectSame(1, 3, "7"); }
TEST_F(SplitTest, TwoByThreeGivesTheBitsOfEmbedded) { ExpectSame(2, 3, "64"); }
TEST_F(SplitTest, OneBySevenGivesTheBitsOfEmbedded) { ExpectSame(1, 7, "64"); }

}  // namespace
}  // namespace expertmesh
