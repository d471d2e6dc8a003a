#include "generation/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "generation/request.h"

namespace expertmesh {
namespace {

constexpr int32_t kVocabulary = 20000;

void ExpectRefused(const absl::Status& status, const char* text) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(text));
}

template <typename Change>
absl::Status Validated(Change change) {
  SamplingParams params;
  change(params);
  return ValidateSampling(params, kVocabulary);
}

TEST(ValidateSampling, TakesTheDefaultsAndEveryBound) {
  EXPECT_TRUE(ValidateSampling({}, 1).ok());
  SamplingParams params{.temperature = 100, .top_k = INT32_MAX, .top_p = 1e-30f, .min_p = 1};
  params.presence_penalty = -2;
  params.frequency_penalty = 2;
  params.repetition_penalty = 0.01f;
  for (int32_t i = 0; i < kMaxLogitBiases; ++i)
    params.logit_bias.push_back({i, i % 2 ? 100.f : -100.f});
  params.allowed_token_ids.emplace(kMaxAllowedTokenIds);
  std::iota(params.allowed_token_ids->begin(), params.allowed_token_ids->end(), 0);
  const absl::Status status = ValidateSampling(params, kVocabulary);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ValidateSampling, NamesTheFieldTheValueAndTheBound) {
  const auto refused = [](auto change, const char* text) {
    ExpectRefused(Validated(change), text);
  };
  refused([](auto& p) { p.temperature = -0.5f; }, "temperature is -0.5; it goes from 0 to 100");
  refused([](auto& p) { p.temperature = 100.5f; }, "temperature is 100.5");
  refused([](auto& p) { p.top_k = -1; }, "top_k is -1; it is at least 0 (off)");
  refused([](auto& p) { p.top_p = 0; }, "top_p is 0; it is above 0 and at most 1");
  refused([](auto& p) { p.top_p = 1.5f; }, "top_p is 1.5");
  refused([](auto& p) { p.min_p = -0.5f; }, "min_p is -0.5; it goes from 0 to 1");
  refused([](auto& p) { p.min_p = 1.5f; }, "min_p is 1.5");
  refused([](auto& p) { p.presence_penalty = 2.5f; }, "presence_penalty is 2.5; it goes from -2");
  refused([](auto& p) { p.presence_penalty = -2.5f; }, "presence_penalty is -2.5");
  refused([](auto& p) { p.frequency_penalty = 2.5f; }, "frequency_penalty is 2.5; it goes from -2");
  refused([](auto& p) { p.frequency_penalty = -2.5f; }, "frequency_penalty is -2.5");
  refused([](auto& p) { p.repetition_penalty = 0; },
          "repetition_penalty is 0; it goes from 0.01 to 100");
  refused([](auto& p) { p.repetition_penalty = -1; }, "repetition_penalty is -1");
  refused(
      [](auto& p) {
        p.logit_bias = {{3, 1}, {20000, 1}};
      },
      "logit_bias has id 20000; ids go from 0 to 19999");
  refused([](auto& p) { p.logit_bias = {{-1, 1}}; }, "logit_bias has id -1");
  refused(
      [](auto& p) {
        p.logit_bias = {{3, 1}, {3, 2}};
      },
      "logit_bias has id 3 more than once; each is there once at most");
  refused([](auto& p) { p.logit_bias = {{3, 1}, {2, 2}}; }, "has id 2 after id 3; ids ascend");
  refused(
      [](auto& p) {
        p.logit_bias = {{3, 101}};
      },
      "logit_bias of id 3 is 101; it goes from -100");
  refused([](auto& p) { p.logit_bias.resize(1025); }, "logit_bias has 1025 entries; at most 1024");
  refused([](auto& p) { p.allowed_token_ids.emplace(); }, "allowed_tokens is empty");
  refused([](auto& p) { p.allowed_token_ids = {5, 20000}; }, "allowed_tokens has id 20000");
  refused([](auto& p) { p.allowed_token_ids = {5, 5}; }, "allowed_tokens has id 5 more than once");
  refused([](auto& p) { p.allowed_token_ids.emplace(16385); }, "allowed_tokens has 16385 entries");
}

TEST(ValidateSampling, AValueJustBeyondABoundDoesNotReadAsTheBound) {
  ExpectRefused(Validated([](auto& p) { p.temperature = std::nextafter(100.f, 101.f); }),
                "temperature is 100.00001; it goes from 0 to 100");
  ExpectRefused(Validated([](auto& p) { p.top_p = std::nextafter(1.f, 2.f); }),
                "top_p is 1.0000001;");
  ExpectRefused(Validated([](auto& p) { p.repetition_penalty = std::nextafter(0.01f, 0.f); }),
                "repetition_penalty is 0.009999999; it goes from 0.01 to 100");
  ExpectRefused(Validated([](auto& p) { p.min_p = -NAN; }), "min_p is nan;");
}

TEST(ValidateSampling, TakesNoNumberThatIsNone) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    ExpectRefused(Validated([&](auto& p) { p.temperature = bad; }), "temperature is ");
    ExpectRefused(Validated([&](auto& p) { p.top_p = bad; }), "top_p is ");
    ExpectRefused(Validated([&](auto& p) { p.min_p = bad; }), "min_p is ");
    ExpectRefused(Validated([&](auto& p) { p.presence_penalty = bad; }), "presence_penalty is ");
    ExpectRefused(Validated([&](auto& p) { p.frequency_penalty = bad; }), "frequency_penalty is ");
    ExpectRefused(Validated([&](auto& p) { p.repetition_penalty = bad; }),
                  "repetition_penalty is ");
    ExpectRefused(Validated([&](auto& p) { p.logit_bias = {{1, bad}}; }), "logit_bias of id 1 is ");
  }
}

TEST(SortIds, MakesListsThatAreTaken) {
  SamplingParams params;
  params.logit_bias = {{9, 1}, {2, -1}, {5, 3}};
  params.allowed_token_ids = {7, 1, 4};
  SortIds(params);
  EXPECT_THAT(params.logit_bias,
              testing::ElementsAre(LogitBias{2, -1}, LogitBias{5, 3}, LogitBias{9, 1}));
  EXPECT_THAT(*params.allowed_token_ids, testing::ElementsAre(1, 4, 7));
  EXPECT_TRUE(ValidateSampling(params, 10).ok());
}

TEST(ValidateRequest, LooksAtSamplingToo) {
  const RequestLimits limits{.vocabulary = 100, .max_context = 32, .eos_token_ids = {7}};
  const auto validated = [&](auto change) {
    GenerateRequest request;
    request.prompt = {1};
    request.max_tokens = 4;
    change(request);
    return ValidateRequest(request, limits);
  };
  EXPECT_TRUE(validated([](auto& r) { r.min_tokens = 4; }).ok());
  ExpectRefused(validated([](auto& r) { r.min_tokens = 5; }),
                "min_tokens is 5; it goes from 0 to max_tokens, 4");
  ExpectRefused(validated([](auto& r) { r.min_tokens = -1; }), "min_tokens is -1");
  ExpectRefused(validated([](auto& r) { r.choice = -1; }), "choice is -1");
  ExpectRefused(validated([](auto& r) { r.sampling.top_p = 2; }), "top_p is 2");
  ExpectRefused(validated([](auto& r) {
                  r.sampling.logit_bias = {{100, 1}};
                }),
                "has id 100; ids go from 0 to 99");
}

TEST(ValidateRequest, RefusesMinTokensWhereEveryAllowedIdEndsTheOutput) {
  const RequestLimits limits{.vocabulary = 100, .max_context = 32, .eos_token_ids = {7}};
  GenerateRequest request;
  request.prompt = {1};
  request.max_tokens = 4;
  request.min_tokens = 1;
  request.stop_token_ids = {3};
  request.sampling.allowed_token_ids = {3, 7};
  ExpectRefused(ValidateRequest(request, limits), "every allowed id would end the output");
  request.ignore_eos = true;  // then 7 does not end it
  EXPECT_TRUE(ValidateRequest(request, limits).ok());
  request.ignore_eos = false;
  request.min_tokens = 0;
  EXPECT_TRUE(ValidateRequest(request, limits).ok());
  request.sampling.allowed_token_ids = std::nullopt;
  request.min_tokens = 1;
  EXPECT_TRUE(ValidateRequest(request, limits).ok());
  const RequestLimits small{.vocabulary = 2, .max_context = 32, .eos_token_ids = {0}};
  request.stop_token_ids = {1};
  ExpectRefused(ValidateRequest(request, small), "every allowed id would end the output");
}

}  // namespace
}  // namespace expertmesh
