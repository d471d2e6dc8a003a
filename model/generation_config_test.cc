#include "model/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

TEST(GenerationConfig, ReadsWhatChatCheckpointsSay) {
  auto config = ParseGenerationConfig(R"({
    "_from_model_config": true, "bos_token_id": 100000, "eos_token_id": 100001,
    "do_sample": true, "temperature": 0.3, "top_p": 0.95, "transformers_version": "4.39.3"})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->do_sample);
  EXPECT_EQ(config->temperature, 0.3f);
  EXPECT_EQ(config->top_p, 0.95f);
  EXPECT_EQ(config->top_k, std::nullopt);
  EXPECT_EQ(config->max_new_tokens, std::nullopt);
}

TEST(GenerationConfig, NullIsSilence) {
  auto config = ParseGenerationConfig(R"({"temperature": null, "max_new_tokens": null})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->temperature, std::nullopt);
  EXPECT_FALSE(config->do_sample);
}

TEST(GenerationConfig, NamesWhatIsWrong) {
  for (const auto& [json, text] : {std::pair{R"({"temperature": -1})", "temperature"},
                                   {R"({"top_p": 0})", "top_p"},
                                   {R"({"top_p": 1.5})", "top_p"},
                                   {R"({"min_p": "x"})", "min_p"},
                                   {R"({"top_k": 2.5})", "top_k"},
                                   {R"({"max_new_tokens": 0})", "max_new_tokens"},
                                   {R"({"do_sample": 1})", "do_sample"},
                                   {R"([])", "object"}}) {
    auto config = ParseGenerationConfig(json);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(std::string(config.status().message()), testing::HasSubstr(text)) << json;
  }
}

}  // namespace
}  // namespace expertmesh
