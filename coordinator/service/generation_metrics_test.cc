#include "coordinator/service/generation_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <thread>

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

Delta Tokens(int32_t choice, int count) {
  Delta delta;
  delta.choice = choice;
  delta.tokens.resize(count);
  return delta;
}

std::string Scrape(const prometheus::Registry& registry) {
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

TEST(GenerationMetrics, CountsTokensLatenciesAndEnds) {
  prometheus::Registry registry;
  GenerationMetrics metrics(&registry);
  auto watch = metrics.Watch("GenerateStream");
  EXPECT_THAT(Scrape(registry), HasSubstr("expertmesh_requests_running 1"));
  Delta opening;
  opening.opening = Opening{.prompt_tokens = 5, .seed = 0, .text = true};
  watch->OnPiece(opening);
  watch->OnPiece(Tokens(0, 1));  // the first of the call
  watch->OnPiece(Tokens(1, 1));  // the first of its choice: no gap yet
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  watch->OnPiece(Tokens(0, 3));  // 10 ms for each
  watch->OnEnd(absl::OkStatus());

  const std::string text = Scrape(registry);
  EXPECT_THAT(text, HasSubstr("expertmesh_prompt_tokens_total 5"));
  EXPECT_THAT(text, HasSubstr("expertmesh_output_tokens_total 5"));
  EXPECT_THAT(text, HasSubstr("expertmesh_time_to_first_token_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("expertmesh_inter_token_latency_seconds_count 3"));
  EXPECT_THAT(text, HasSubstr("expertmesh_inter_token_latency_seconds_bucket{le=\"0.005\"} 0"));
  EXPECT_THAT(text, HasSubstr("expertmesh_request_duration_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("expertmesh_requests_running 0"));
  EXPECT_THAT(text,
              HasSubstr("expertmesh_requests_total{code=\"OK\",method=\"GenerateStream\"} 1"));
}

TEST(GenerationMetrics, CountsErrorsByCode) {
  prometheus::Registry registry;
  GenerationMetrics metrics(&registry);
  metrics.Watch("Generate")->OnEnd(absl::UnavailableError("lost"));
  metrics.Count("Tokenize", absl::InvalidArgumentError("no text"));
  metrics.Count("Tokenize", absl::InvalidArgumentError("no text"));
  const std::string text = Scrape(registry);
  EXPECT_THAT(text,
              HasSubstr("expertmesh_requests_total{code=\"UNAVAILABLE\",method=\"Generate\"} 1"));
  EXPECT_THAT(
      text,
      HasSubstr("expertmesh_requests_total{code=\"INVALID_ARGUMENT\",method=\"Tokenize\"} 2"));
  EXPECT_THAT(text, HasSubstr("expertmesh_request_duration_seconds_count 0"));
  EXPECT_THAT(text, HasSubstr("expertmesh_requests_running 0"));
}

}  // namespace
}  // namespace expertmesh
