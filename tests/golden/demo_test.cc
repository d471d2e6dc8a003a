// The demo model, whose router was trained, against the oracle: how it goes on with held-out text
// (tools/demo_model/continuations.py wrote the golden).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"

namespace expertmesh {
namespace {

constexpr char kGolden[] = EXPERTMESH_SOURCE_DIR "/tests/golden/demo/continuations.json";

struct Continuation {
  std::vector<int32_t> ids;
  double prompt_nats = 0;
};

Continuation GoOn(EmbeddedCluster& cluster, const std::vector<int32_t>& prompt, size_t tokens) {
  GenerateRequest request;
  request.prompt = prompt;
  request.max_tokens = static_cast<int32_t>(tokens);
  request.ignore_eos = request.prompt_logprobs = true;
  Continuation result;
  const absl::Status status = cluster.Generate(request, [&](const Delta& delta) {
    for (const OutputToken& token : delta.tokens) result.ids.push_back(token.id);
    result.prompt_nats -=
        std::accumulate(delta.prompt_logprobs.begin(), delta.prompt_logprobs.end(), 0.0);
  });
  EXPECT_TRUE(status.ok()) << status;
  return result;
}

TEST(DemoGolden, GreedyTokensOfHeldOutPromptsAreTheOracles) {
  StartLogging("demo", "error");
  std::ifstream file(kGolden);
  ASSERT_TRUE(file) << kGolden;
  const auto golden = nlohmann::json::parse(file);
  EmbeddedOptions options;
  options.expert_workers = 2;
  options.attention.model_folder = options.expert.model_folder =
      std::string(EXPERTMESH_SOURCE_DIR "/") + golden.at("checkpoint").get<std::string>();
  auto cluster = EmbeddedCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const absl::Status whole = (*cluster)->WaitUntilWhole(std::chrono::seconds(60));
  ASSERT_TRUE(whole.ok()) << whole;

  ASSERT_EQ(golden.at("prompts").size(), 20u);
  int ties = 0;
  for (const auto& prompt : golden.at("prompts")) {
    const auto expected = prompt.at("greedy_token_ids").get<std::vector<int32_t>>();
    const auto near_ties = prompt.at("near_ties").get<std::vector<size_t>>();
    ASSERT_EQ(expected.size(), 64u);
    const Continuation ours = GoOn(**cluster, prompt.at("token_ids"), expected.size());
    EXPECT_NEAR(ours.prompt_nats, prompt.at("nats").get<double>(), 1e-2);
    ASSERT_EQ(ours.ids.size(), expected.size());
    const auto differs = std::mismatch(ours.ids.begin(), ours.ids.end(), expected.begin()).first;
    if (differs == ours.ids.end()) continue;
    const size_t at = differs - ours.ids.begin();
    EXPECT_NE(std::find(near_ties.begin(), near_ties.end(), at), near_ties.end())
        << "token " << at << " after " << prompt.at("token_ids").dump();
    ++ties;
  }
  std::printf("%d of 20 continuations left the oracle's at a near tie\n", ties);
}

}  // namespace
}  // namespace expertmesh
