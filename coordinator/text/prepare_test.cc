#include "coordinator/text/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/text/test_model.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

UserRequest Text(std::string text) {
  UserRequest request;
  request.prompt = std::move(text);
  request.max_tokens = 5;
  return request;
}

class PrepareTest : public testing::Test {
 protected:
  Prepared Must(const UserRequest& request) {
    absl::StatusOr<Prepared> prepared = Prepare(request, model_, 77);
    EXPECT_TRUE(prepared.ok()) << prepared.status();
    return prepared.ok() ? *std::move(prepared) : Prepared();
  }
  void ExpectRefused(const UserRequest& request, const std::string& text,
                     absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = Prepare(request, model_, 77).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
  ByteModel model_;
};

TEST_F(PrepareTest, PlainTextGetsItsBeginningOnceAndAChatHasItsOwn) {
  EXPECT_EQ(Must(Text("hi")).request.prompt, (std::vector<int32_t>{256, 'h', 'i'}));
  UserRequest chat;
  chat.prompt = ChatPrompt{{{"system", "a"}, {"user", "b"}}};
  EXPECT_EQ(Must(chat).request.prompt, IdsOf("system:a;user:b;assistant:"));
  std::get<ChatPrompt>(chat.prompt).add_generation_prompt = false;
  EXPECT_EQ(Must(chat).request.prompt, IdsOf("system:a;user:b;"));
  UserRequest ids;
  ids.prompt = std::vector<int32_t>{5, 6};
  EXPECT_THAT(Must(ids).request.prompt, ElementsAre(5, 6));
}

TEST_F(PrepareTest, WhatIsNotSaidComesFromTheCheckpointThenFromTheProduct) {
  SamplingParams plain = Must(Text("x")).request.sampling;
  EXPECT_EQ(plain.temperature, 0) << "greedy where nobody says otherwise";
  EXPECT_EQ(plain.seed, 0u) << "nothing is drawn";
  model_.config = {
      .do_sample = true, .temperature = 0.3f, .top_k = 9, .top_p = 0.95f, .max_new_tokens = 100};
  UserRequest request = Text("x");
  request.max_tokens.reset();
  EXPECT_EQ(Must(request).request.max_tokens, 0);
  EXPECT_EQ(Must(request).request.default_max_tokens, 100);
  EXPECT_EQ(Must(request).request.sampling.temperature, 0.3f);
  EXPECT_EQ(Must(request).request.sampling.seed, 77u);
  EXPECT_EQ(Must(request).request.sampling.top_k, 9);
  request.sampling.temperature = 0;
  request.sampling.top_p = 1;
  request.sampling.seed = 5;
  const SamplingParams said = Must(request).request.sampling;
  EXPECT_EQ(said.temperature, 0);
  EXPECT_EQ(said.top_p, 1);
  EXPECT_EQ(said.top_k, 9);
  EXPECT_EQ(said.seed, 5u);
  model_.config.temperature.reset();
  request.sampling.temperature.reset();
  EXPECT_EQ(Must(request).request.sampling.temperature, 1) << "do_sample without a temperature";
}

TEST_F(PrepareTest, MakesEachOfTheChoicesOrTheOneThatIsResumed) {
  UserRequest request = Text("x");
  request.sampling.n = 3;
  EXPECT_THAT(Must(request).choices, ElementsAre(0, 1, 2));
  request.sampling.seed = 1;
  request.resume = ResumePoint{{7, 8}, 2};
  const Prepared prepared = Must(request);
  EXPECT_THAT(prepared.choices, ElementsAre(2));
  EXPECT_THAT(prepared.request.resumed, ElementsAre(7, 8));
}

TEST_F(PrepareTest, EchoesThePromptsText) {
  UserRequest request = Text("hi");
  EXPECT_EQ(Must(request).echo, "");
  request.echo = true;
  EXPECT_EQ(Must(request).echo, "hi");
  request.resume = ResumePoint{{7}, 0};
  request.prompt_logprobs = true;
  EXPECT_EQ(Must(request).echo, "") << "it was given with the first tokens";
  EXPECT_FALSE(Must(request).request.prompt_logprobs);
  request.resume = ResumePoint{{}, 0};
  EXPECT_EQ(Must(request).echo, "hi");
  request.resume.reset();
  request.prompt_logprobs = false;
  request.prompt = std::vector<int32_t>{256, 'y', 'o'};
  EXPECT_EQ(Must(request).echo, "yo");
  request.special_tokens = true;
  EXPECT_EQ(Must(request).echo, "<s>yo");
}

TEST_F(PrepareTest, RefusesByFieldValueAndBound) {
  const auto refused = [&](const char* text, auto spoil) {
    UserRequest request = Text("hi");
    spoil(request);
    ExpectRefused(request, text);
  };
  refused("prompt is not set", [](auto& r) { r.prompt = std::monostate(); });
  refused("text is empty", [](auto& r) { r.prompt = std::string(); });
  refused("text is not valid UTF-8 at byte 1", [](auto& r) { r.prompt = std::string("a\xFF"); });
  refused("token_ids is empty", [](auto& r) { r.prompt = std::vector<int32_t>(); });
  refused("token_ids[1] is 300", [](auto& r) { r.prompt = std::vector<int32_t>{1, 300}; });
  refused("model is \"other\"; served here is \"bytes\"", [](auto& r) { r.model = "other"; });
  refused("n is 0", [](auto& r) { r.sampling.n = 0; });
  refused("n is 129; it goes from 1 to 128", [](auto& r) { r.sampling.n = 129; });
  refused("together 1280000 tokens; at most 1048576", [](auto& r) {
    r.sampling.n = 128;
    r.max_tokens = 10000;
  });
  refused("max_tokens is 20000 (not set): together 1280000", [](auto& r) {
    r.sampling.n = 64;
    r.max_tokens.reset();
  });
  refused("the context holds 20000", [](auto& r) { r.prompt = std::string(20000, 'x'); });
  refused("max_tokens is 0", [](auto& r) { r.max_tokens = 0; });
  refused("min_tokens is 6", [](auto& r) { r.min_tokens = 6; });
  refused("temperature is -1", [](auto& r) { r.sampling.temperature = -1; });
  refused("temperature is nan", [](auto& r) { r.sampling.temperature = NAN; });
  refused("top_p is 0", [](auto& r) { r.sampling.top_p = 0; });
  refused("stop[0] has 0 bytes", [](auto& r) { r.stop = {""}; });
  refused("stop[0] is not valid UTF-8", [](auto& r) { r.stop = {"\xFF"}; });
  refused("logit_bias has id 300", [](auto& r) { r.sampling.logit_bias = {{300, 1}}; });
  refused("allowed_tokens is empty",
          [](auto& r) { r.sampling.allowed_token_ids = std::vector<int32_t>(); });
  refused("resume.choice is 1", [](auto& r) { r.resume = ResumePoint{{}, 1}; });
  refused("seed is not set", [](auto& r) {
    r.sampling.temperature = 1;
    r.resume = ResumePoint{{5}, 0};
  });
  refused("resume.token_ids has 5 tokens; it has fewer than max_tokens, 5", [](auto& r) {
    r.resume = ResumePoint{{5, 5, 5, 5, 5}, 0};
  });
  const auto chat = [](const char* role, const char* content) {
    return ChatPrompt{{{"user", "x"}, {role, content}}};
  };
  refused("chat.messages[1].role is \"god\"", [&](auto& r) { r.prompt = chat("god", "x"); });
  refused("chat.messages[1].content is not valid UTF-8",
          [&](auto& r) { r.prompt = chat("user", "\xC3"); });
  refused("chat.messages: more than 8 bytes", [&](auto& r) { r.prompt = chat("user", "large"); });
  refused("chat.messages: the template objects", [&](auto& r) { r.prompt = chat("user", "bad"); });
}

TEST_F(PrepareTest, SaysWhatIsMissingWhereThereIsNoTokenizer) {
  constexpr absl::StatusCode kMissing = absl::StatusCode::kFailedPrecondition;
  model_.chat = false;
  UserRequest chat;
  chat.prompt = ChatPrompt{{{"user", "x"}}};
  ExpectRefused(chat, "needs a chat template", kMissing);
  model_.text = false;
  ExpectRefused(Text("hi"), "text needs a tokenizer", kMissing);
  UserRequest ids;
  ids.prompt = std::vector<int32_t>{1};
  EXPECT_THAT(Must(ids).request.prompt, ElementsAre(1));
  ids.stop = {"x"};
  ExpectRefused(ids, "stop needs a tokenizer", kMissing);
}

}  // namespace
}  // namespace expertmesh
