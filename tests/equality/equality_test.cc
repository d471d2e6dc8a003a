// The first promise: the same tokens and the same logprob bits, however the work is split.
#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"

namespace expertmesh {
namespace {

struct Answer {
  std::vector<int32_t> ids;
  std::vector<uint32_t> bits;  // of logprobs, of top logprobs, of prompt logprobs
  bool operator==(const Answer&) const = default;
};

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
  auto cluster = EmbeddedCluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  if (!cluster.ok()) return nullptr;
  const absl::Status whole = (*cluster)->WaitUntilWhole(std::chrono::seconds(30));
  EXPECT_TRUE(whole.ok()) << whole;
  return *std::move(cluster);
}

std::vector<GenerateRequest> Requests(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<GenerateRequest> requests(count);
  for (int i = 0; i < count; ++i) {
    GenerateRequest& request = requests[i];
    const int length = 1 + random() % (i % 4 == 0 ? 150 : 40);
    for (int t = 0; t < length; ++t) request.prompt.push_back(random() % 2048);
    request.max_tokens = 4 + random() % 20;
    request.ignore_eos = true;
    request.logprobs = true;
    request.top_logprobs = i % 3;
    request.prompt_logprobs = i % 2 == 0;
  }
  return requests;
}

Answer Ask(EmbeddedCluster& cluster, const GenerateRequest& request) {
  Answer answer;
  const absl::Status status = cluster.Generate(request, [&](const Delta& delta) {
    for (float logprob : delta.prompt_logprobs) answer.bits.push_back(std::bit_cast<uint32_t>(logprob));
    for (const OutputToken& token : delta.tokens) {
      answer.ids.push_back(token.id);
      answer.bits.push_back(std::bit_cast<uint32_t>(token.logprob));
      for (const TokenLogprob& top : token.top) {
        answer.bits.push_back(static_cast<uint32_t>(top.id));
        answer.bits.push_back(std::bit_cast<uint32_t>(top.logprob));
      }
    }
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(answer.ids.size(), static_cast<size_t>(request.max_tokens));
  return answer;
}

// All at once, each from a thread of its own.
std::vector<Answer> AskTogether(EmbeddedCluster& cluster,
                                const std::vector<GenerateRequest>& requests) {
  std::vector<Answer> answers(requests.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < requests.size(); ++i) {
    threads.emplace_back([&, i] { answers[i] = Ask(cluster, requests[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

class EqualityTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    StartLogging("equality", "warn");
    requests_ = new std::vector<GenerateRequest>(Requests(33, 7));
    auto cluster = StartCluster({});
    ASSERT_NE(cluster, nullptr);
    alone_ = new std::vector<Answer>;
    for (const GenerateRequest& request : *requests_) alone_->push_back(Ask(*cluster, request));
  }

  static void ExpectSame(const Layout& layout) {
    SCOPED_TRACE(layout.Name());
    auto cluster = StartCluster(layout);
    ASSERT_NE(cluster, nullptr);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(Ask(*cluster, (*requests_)[i]), (*alone_)[i]) << i;
    const std::vector<Answer> together = AskTogether(*cluster, *requests_);
    for (size_t i = 0; i < together.size(); ++i) {
      EXPECT_EQ(together[i], (*alone_)[i]) << "request " << i << " among the others";
    }
  }

  static std::vector<GenerateRequest>* requests_;
  static std::vector<Answer>* alone_;
};

std::vector<GenerateRequest>* EqualityTest::requests_ = nullptr;
std::vector<Answer>* EqualityTest::alone_ = nullptr;

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
