// The first promise, of the latent cache: what is taken over from others, what is thrown away and
// computed again, shows in no bit.
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "tests/equality/ask.h"

namespace expertmesh {
namespace {

constexpr int32_t kVocabulary = 2048;  // of models/tiny
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCrowd = 40;  // ten times as slow
#else
constexpr int kCrowd = 120;
#endif

std::unique_ptr<EmbeddedCluster> StartCluster(int64_t cache_tokens, int32_t max_sequences) {
  EmbeddedOptions options;
  options.expert_workers = 2;
  options.attention.model_folder = options.expert.model_folder =
      EXPERTMESH_SOURCE_DIR "/models/tiny";
  options.attention.threads = options.expert.threads = 1;
  options.attention.cache_tokens = cache_tokens;
  options.attention.max_sequences = max_sequences;
  options.attention.prefill_chunk = 100;
  return StartWhole(options);
}

GenerateRequest Drawn(std::vector<int32_t> prompt, int32_t max_tokens) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = request.logprobs = true;
  request.top_logprobs = 3;
  request.sampling.temperature = 0.8f;
  request.sampling.seed = 4;
  return request;
}

std::vector<int32_t> Tokens(int32_t count, int32_t salt) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.push_back((i * 131 + salt * 977 + 5) % kVocabulary);
  return tokens;
}

class CacheEquality : public testing::Test {
 protected:
  static void SetUpTestSuite() { StartLogging("cache-equality", "warn"); }
};

// Each turn begins with all that was said before. Block borders fall anywhere.
TEST_F(CacheEquality, OfAChatWarmAndCold) {
  auto cluster = StartCluster(8192, 16);
  ASSERT_NE(cluster, nullptr);
  std::vector<int32_t> said = Tokens(200, 1);
  int32_t prompts = 0, cached = 0;
  for (int turn = 0; turn < 4; ++turn) {
    SCOPED_TRACE(turn);
    GenerateRequest request = Drawn(said, 50 + turn);
    const Answer warm = Ask(*cluster, request);
    request.cache_salt = absl::StrCat("cold ", turn);
    const Answer cold = Ask(*cluster, request);
    EXPECT_EQ(warm.bits, cold.bits);
    EXPECT_EQ(cold.usage.cached_tokens, 0);
    EXPECT_GE(warm.usage.cached_tokens, turn > 0 ? 200 : 0);
    prompts += warm.usage.prompt_tokens;
    cached += warm.usage.cached_tokens;
    said.insert(said.end(), warm.bits.ids.begin(), warm.bits.ids.end());
    const std::vector<int32_t> next = Tokens(33, turn + 2);
    said.insert(said.end(), next.begin(), next.end());
  }
  std::printf("of %d prompt tokens %d were served from the cache: %.0f %%\n", prompts, cached,
              100.0 * cached / prompts);
}

// Every number of tokens in common, across the borders of two blocks.
TEST_F(CacheEquality, OfEveryLengthInCommon) {
  auto cluster = StartCluster(16384, 16);
  ASSERT_NE(cluster, nullptr);
  const std::vector<int32_t> whole = Tokens(140, 7);
  Ask(*cluster, Drawn(whole, 3));
  for (int32_t common = 60; common <= 135; ++common) {
    std::vector<int32_t> prompt(whole.begin(), whole.begin() + common);
    prompt.push_back((whole[common] + 1) % kVocabulary);
    prompt.push_back(9);
    GenerateRequest request = Drawn(prompt, 4);
    const Answer warm = Ask(*cluster, request);
    EXPECT_EQ(warm.usage.cached_tokens, common);
    request.cache_salt = "cold";
    request.prompt_logprobs = true;  // computed, whatever is there
    Answer cold = Ask(*cluster, request);
    EXPECT_EQ(cold.usage.cached_tokens, 0);
    cold.bits.logprobs.erase(cold.bits.logprobs.begin(),
                             cold.bits.logprobs.begin() + prompt.size() - 1);
    EXPECT_EQ(warm.bits, cold.bits) << common;
  }
}

TEST_F(CacheEquality, OfACacheSoSmallThatSequencesPushEachOtherOut) {
  auto roomy = StartCluster(32768, 32);
  auto small = StartCluster(512, 32);  // eight blocks
  ASSERT_NE(roomy, nullptr);
  ASSERT_NE(small, nullptr);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < kCrowd; ++i) {
    requests.push_back(Drawn(Tokens(20 + i * 7 % 44, i), 130 + i * 11 % 60));
    requests.back().sampling.seed = i;
    requests.back().prompt_logprobs = i % 4 == 0;
  }
  const std::vector<Bits> wanted = AskTogether(*roomy, requests);
  EXPECT_EQ(AskTogether(*small, requests), wanted);

  const auto load = [&] {
    for (const WorkerListing& worker : small->coordinator().List().workers) {
      if (worker.report.role == WorkerRole::kAttention) return worker.report.load;
    }
    return AttentionLoad{1};
  };
  const Time until = Now() + std::chrono::seconds(20);
  while (load().running_sequences > 0 && Now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(load().cache_used_tokens, 0u);
  EXPECT_GE(load().preemptions, kCrowd / 3u);
  std::printf("%lu preemptions\n", static_cast<unsigned long>(load().preemptions));
}

}  // namespace
}  // namespace expertmesh
