// The first promise: the same tokens and the same logprob bits, however the work is split.
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "tests/equality/ask.h"

namespace expertmesh {
namespace {

constexpr int32_t kVocabulary = 2048;  // of models/tiny

struct Layout {
  int attention_workers = 1;
  int expert_workers = 1;
  int prefill_chunk = 4096;
  int threads = 1;
  int max_pass_rows = 512;
  std::string isa = "auto";
  std::string Name() const {
    return absl::StrCat(attention_workers, " x ", expert_workers, ", chunk ", prefill_chunk,
                        ", threads ", threads, ", pass rows ", max_pass_rows, ", isa ", isa);
  }
};

std::unique_ptr<EmbeddedCluster> StartCluster(const Layout& layout) {
  EmbeddedOptions options;
  options.attention_workers = layout.attention_workers;
  options.expert_workers = layout.expert_workers;
  options.attention.model_folder = options.expert.model_folder =
      EXPERTMESH_SOURCE_DIR "/models/tiny";
  options.attention.threads = options.expert.threads = layout.threads;
  options.attention.isa = options.expert.isa = layout.isa;
  options.attention.prefill_chunk = layout.prefill_chunk;
  options.attention.max_step_rows = 512;
  options.expert.max_pass_rows = layout.max_pass_rows;
  return StartWhole(options);
}

class EqualityTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    StartLogging("equality", "warn");
    requests_ = new std::vector<GenerateRequest>(SeededRequests(33, 7, kVocabulary));
    AskForSampling(*requests_, 8, kVocabulary);
    auto cluster = StartCluster({});
    ASSERT_NE(cluster, nullptr);
    alone_ = new std::vector<Bits>;
    for (const GenerateRequest& request : *requests_)
      alone_->push_back(Ask(*cluster, request).bits);
    ExpectSeedAndChoiceToCount(*cluster);
  }

  static void ExpectSeedAndChoiceToCount(EmbeddedCluster& cluster) {
    GenerateRequest request = (*requests_)[0];
    request.sampling.temperature = 1;
    request.sampling.seed = 1;
    const Bits drawn = Ask(cluster, request).bits;
    request.sampling.seed = 2;
    EXPECT_NE(Ask(cluster, request).bits, drawn) << "another seed";
    request.sampling.seed = 1;
    EXPECT_EQ(Ask(cluster, request).bits, drawn) << "the same once more";
    request.choice = 1;
    EXPECT_NE(Ask(cluster, request).bits, drawn) << "another choice";
  }

  static void ExpectSame(const Layout& layout) {
    SCOPED_TRACE(layout.Name());
    auto cluster = StartCluster(layout);
    ASSERT_NE(cluster, nullptr);
    for (size_t i = 0; i < 3; ++i)
      EXPECT_EQ(Ask(*cluster, (*requests_)[i]).bits, (*alone_)[i]) << i;
    const std::vector<Bits> together = AskTogether(*cluster, *requests_);
    for (size_t i = 0; i < together.size(); ++i) {
      EXPECT_EQ(together[i], (*alone_)[i]) << "request " << i << " among the others";
    }
  }

  static std::vector<GenerateRequest>* requests_;
  static std::vector<Bits>* alone_;
};

std::vector<GenerateRequest>* EqualityTest::requests_ = nullptr;
std::vector<Bits>* EqualityTest::alone_ = nullptr;

TEST_F(EqualityTest, OfPlacements) {
  for (auto [attention, experts] : {std::pair{1, 1}, {1, 2}, {1, 3}, {2, 3}, {1, 7}}) {
    ExpectSame({.attention_workers = attention, .expert_workers = experts});
  }
}

TEST_F(EqualityTest, OfPrefillChunks) {
  for (int chunk : {1, 7, 64}) ExpectSame({.expert_workers = 2, .prefill_chunk = chunk});
}

TEST_F(EqualityTest, OfThreads) {
  for (int threads : {2, 3}) ExpectSame({.expert_workers = 2, .threads = threads});
}

TEST_F(EqualityTest, OfPasses) { ExpectSame({.expert_workers = 2, .max_pass_rows = 5}); }

TEST_F(EqualityTest, OfInstructionSets) {
  for (const char* isa : {"scalar", "avx2", "avx512"}) {
    EmbeddedOptions options;
    options.attention.model_folder = EXPERTMESH_SOURCE_DIR "/models/tiny";
    options.attention.isa = isa;
    if (!AttentionWorker::Create(options.attention).ok()) continue;  // not on this processor
    ExpectSame({.expert_workers = 2, .prefill_chunk = 64, .isa = isa});
  }
}

}  // namespace
}  // namespace expertmesh
