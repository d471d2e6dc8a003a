#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "generation/request.h"
#include "generation/stop_rule.h"

namespace expertmesh {
namespace {

const RequestLimits kLimits{.vocabulary = 100, .max_context = 32, .eos_token_ids = {7}};

GenerateRequest Valid() {
  GenerateRequest request;
  request.prompt = {1, 2, 99};
  request.max_tokens = 29;
  return request;
}

TEST(ValidateRequest, TakesWhatIsWithinTheBounds) {
  EXPECT_TRUE(ValidateRequest(Valid(), kLimits).ok());
}

TEST(ValidateRequest, NamesTheFieldTheValueAndTheBound) {
  const auto refused = [](auto change, const char* text) {
    GenerateRequest request = Valid();
    change(request);
    absl::Status status = ValidateRequest(request, kLimits);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(text));
  };
  refused([](auto& r) { r.prompt.clear(); }, "token_ids is empty");
  refused([](auto& r) { r.prompt[1] = 100; }, "token_ids[1] is 100; ids go from 0 to 99");
  refused([](auto& r) { r.prompt[0] = -1; }, "token_ids[0] is -1");
  refused([](auto& r) { r.max_tokens = -1; }, "max_tokens is -1; it is at least 1");
  refused([](auto& r) { r.min_tokens = -1; }, "min_tokens is -1; it goes from 0 to max_tokens, 29");
  refused([](auto& r) { r.min_tokens = 30; }, "min_tokens is 30; it goes from 0 to max_tokens, 29");
  refused([](auto& r) { r.choice = 128; }, "choice is 128; it goes from 0 to 127");
  refused([](auto& r) { r.stop.assign(17, "x"); }, "stop has 17 strings; at most 16");
  refused([](auto& r) { r.stop = {"x", ""}; }, "stop[1] has 0 bytes; from 1 to 256");
  refused([](auto& r) { r.stop = {std::string(257, 'x')}; }, "stop[0] has 257 bytes");
  refused([](auto& r) { r.resumed.assign(29, 1); },
          "resume.token_ids has 29 tokens; it has fewer than max_tokens, 29");
  refused([](auto& r) { r.resumed = {1, 100}; }, "resume.token_ids[1] is 100");
  refused(
      [](auto& r) {
        r.max_tokens = 0;
        r.resumed.assign(29, 1);
      },
      "the prompt has 3 tokens and resume.token_ids 29: with one more together 33; the context");
  refused(
      [](auto& r) {
        r.max_tokens = 0;
        r.prompt.assign(32, 1);
      },
      "the prompt has 32 tokens: with one more together 33; the context holds 32");
  refused(
      [](auto& r) {
        r.max_tokens = 0;
        r.min_tokens = 30;
      },
      "min_tokens is 30; it goes from 0 to max_tokens, 29 (not set)");
  refused(
      [](auto& r) {
        r.max_tokens = 0;
        r.default_max_tokens = 5;
        r.min_tokens = 6;
      },
      "min_tokens is 6; it goes from 0 to max_tokens, 5 (not set)");
  refused(
      [](auto& r) {
        r.max_tokens = 0;
        r.min_tokens = -1;
      },
      "min_tokens is -1; it is at least 0");
  refused([](auto& r) { r.max_tokens = 30; }, "together 33; the context holds 32");
  refused([](auto& r) { r.max_tokens = INT32_MAX; }, "the context holds 32");
  refused([](auto& r) { r.top_logprobs = 101; }, "top_logprobs is 101; it goes from 0 to 100");
  refused([](auto& r) { r.top_logprobs = -1; }, "top_logprobs is -1");
  refused([](auto& r) { r.stop_token_ids.assign(65, 1); }, "stop_token_ids has 65 entries");
  refused([](auto& r) { r.stop_token_ids = {100}; }, "stop_token_ids[0] is 100");
  refused([](auto& r) { r.request_id.assign(129, 'x'); }, "request_id has 129 bytes");
}

TEST(ValidateRequest, StopStringsNeedTheBytesOfTokens) {
  GenerateRequest request = Valid();
  request.stop = {"x"};
  EXPECT_EQ(ValidateRequest(request, kLimits).code(), absl::StatusCode::kFailedPrecondition);
  RequestLimits limits = kLimits;
  limits.text = true;
  EXPECT_TRUE(ValidateRequest(request, limits).ok());
}

TEST(StopRule, EndsAtTheModelsOwnEndUnlessToldToIgnoreIt) {
  GenerateRequest request = Valid();
  StopRule rule(request, kLimits);
  EXPECT_EQ(rule.Accept(3, ""), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(7, ""), FinishReason::kStop);
  EXPECT_EQ(rule.stop_token_id(), 7);
  request.ignore_eos = true;
  request.stop_token_ids = {5};
  StopRule deaf(request, kLimits);
  EXPECT_EQ(deaf.Accept(7, ""), FinishReason::kNone);
  EXPECT_EQ(deaf.Accept(5, ""), FinishReason::kStop);
  EXPECT_EQ(deaf.output_tokens(), 2);
}

TEST(StopRule, EndsAtTheLengthLimit) {
  GenerateRequest request = Valid();
  request.max_tokens = 2;
  StopRule rule(request, kLimits);
  EXPECT_EQ(rule.Accept(3, ""), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(3, ""), FinishReason::kLength);
}

TEST(StopRule, EndsAtTheTokenThatCompletesAStopString) {
  GenerateRequest request = Valid();
  request.stop = {"END", "stop"};
  StopRule rule(request, kLimits);
  EXPECT_EQ(rule.Accept(3, "xE"), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(3, ""), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(3, "NDy"), FinishReason::kStop);
  EXPECT_EQ(rule.stop_string(), "END");
  EXPECT_EQ(rule.stop_token_id(), std::nullopt);
}

TEST(StopRule, NothingButTheLengthEndsItBeforeMinTokens) {
  GenerateRequest request = Valid();
  request.min_tokens = 3;
  request.stop = {"ab"};
  StopRule rule(request, kLimits);
  EXPECT_EQ(rule.Accept(7, "ab"), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(3, "a"), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(3, "a"), FinishReason::kNone);
  EXPECT_EQ(rule.Accept(3, "b"), FinishReason::kNone) << "it began before";
  EXPECT_EQ(rule.Accept(3, "ab"), FinishReason::kStop);
  request.max_tokens = request.min_tokens = 1;
  StopRule short_rule(request, kLimits);
  EXPECT_EQ(short_rule.Accept(3, ""), FinishReason::kLength);
}

}  // namespace
}  // namespace expertmesh
