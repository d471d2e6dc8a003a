#include "rpc/convert_user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "rpc/convert_generation.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

UserRequest Everything() {
  UserRequest request;
  request.request_id = "r1";
  request.model = "tiny";
  request.prompt = std::string("hi");
  request.sampling = {.temperature = 0.7f,
                      .top_k = 5,
                      .top_p = 0.9f,
                      .min_p = 0.01f,
                      .presence_penalty = -1.0f,
                      .frequency_penalty = 0.5f,
                      .repetition_penalty = 1.1f,
                      .logit_bias = {{7, 3}, {1, -2}},
                      .allowed_token_ids = std::vector<int32_t>{7, 1},
                      .seed = UINT64_MAX,
                      .n = 2};
  request.max_tokens = 9;
  request.min_tokens = 1;
  request.stop = {"a", "bc"};
  request.include_stop = request.ignore_eos = request.logprobs = true;
  request.stop_token_ids = {3};
  request.top_logprobs = 2;
  request.prompt_logprobs = request.echo = request.special_tokens = true;
  request.resume = ResumePoint{{5, 6}, 1, KeptAnswer{{1, 2}, "a1", {3, 4}}};
  request.keep = true;
  return request;
}

// What a message says of a request, as text: comparing two of these compares all fields.
std::string Said(const UserRequest& request) { return ToProto(request).DebugString(); }

TEST(ConvertUser, ARequestComesBackAsItWas) {
  auto back = FromProto(ToProto(Everything()));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(Said(*back), Said(Everything()));
  EXPECT_EQ(back->sampling.logit_bias, Everything().sampling.logit_bias);
  EXPECT_EQ(back->resume->kept, Everything().resume->kept);
  EXPECT_TRUE(back->keep);
  UserRequest ids = Everything();
  ids.prompt = std::vector<int32_t>{1, 2};
  EXPECT_EQ(Said(*FromProto(ToProto(ids))), Said(ids));
  UserRequest chat = Everything();
  chat.prompt = ChatPrompt{{{"user", "hi"}, {"assistant", ""}}, false};
  EXPECT_EQ(Said(*FromProto(ToProto(chat))), Said(chat));
}

TEST(ConvertUser, AResumeTokenIsOneThatAResponseHad) {
  const KeptAnswer kept{{~uint64_t{0}, 1}, std::string(128, 'w'), {~uint64_t{0}, 7}};
  ASSERT_LE(ToResumeToken(kept).size(), kMaxResumeTokenBytes);
  EXPECT_EQ(*FromResumeToken(ToResumeToken(kept)), kept);
  const KeptAnswer nobody{{1, 2}, "", {}};
  for (const std::string& token :
       {std::string(), std::string("x"), std::string("\n\xFF"), ToResumeToken(nobody)}) {
    EXPECT_EQ(FromResumeToken(token).status().message(),
              "resume_token is not one that a response had");
  }
  EXPECT_EQ(FromResumeToken(std::string(513, 'x')).status().message(),
            "resume_token has 513 bytes; at most 512");
}

TEST(ConvertUser, WhatIsNotSaidStaysOpen) {
  v1::GenerateRequest proto;
  proto.set_text("hi");
  auto request = FromProto(proto);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->max_tokens, std::nullopt);
  EXPECT_EQ(request->sampling.temperature, std::nullopt);
  EXPECT_EQ(request->sampling.seed, std::nullopt);
  EXPECT_EQ(request->sampling.allowed_token_ids, std::nullopt);
  EXPECT_EQ(request->deadline, kNever);
  EXPECT_FALSE(request->logprobs);
  proto.mutable_sampling()->set_temperature(0);
  proto.mutable_sampling()->mutable_allowed_tokens();
  proto.mutable_output()->set_top_logprobs(2);
  request = FromProto(proto);
  EXPECT_EQ(request->sampling.temperature, 0.0f);
  EXPECT_EQ(request->sampling.allowed_token_ids, std::vector<int32_t>())
      << "said, and refused later";
  EXPECT_TRUE(request->logprobs) << "top_logprobs implies logprobs";
  proto.mutable_chat()->add_messages()->set_role("user");
  EXPECT_TRUE(std::get<ChatPrompt>(FromProto(proto)->prompt).add_generation_prompt);
}

TEST(ConvertUser, ABadRequestIsRefusedByTheNameOfItsField) {
  const std::pair<std::function<void(v1::GenerateRequest&)>, const char*> cases[] = {
      {[](auto& r) { r.clear_prompt(); }, "prompt is not set"},
      {[](auto& r) { r.mutable_chat(); }, "chat.messages is empty"},
      {[](auto& r) { r.mutable_chat()->add_messages(); }, "chat.messages[0].role is not set"},
      {[](auto& r) {
         for (int i = 0; i < 4097; ++i) r.mutable_chat()->add_messages()->set_role("user");
       },
       "chat.messages has 4097"},
      {[](auto& r) { r.set_request_id(std::string(129, 'x')); }, "request_id has 129 bytes"},
      {[](auto& r) { r.mutable_sampling()->add_logit_bias()->set_id(1); },
       "logit_bias[2].bias is not set"},
  };
  for (const auto& [spoil, named] : cases) {
    v1::GenerateRequest proto = ToProto(Everything());
    spoil(proto);
    const absl::Status status = FromProto(proto).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << named;
    EXPECT_THAT(std::string(status.message()), HasSubstr(named));
  }
}

std::vector<Delta> SomeDeltas() {
  std::vector<Delta> deltas(3);
  deltas[0].opening = Opening{4, 77, true};
  deltas[0].prompt_logprobs = {-1.5f, -0.25f};
  deltas[0].tokens = {{3, -0.5f, {{3, -0.5f}}}};
  deltas[0].text = "a";
  deltas[1].choice = 1;
  deltas[1].tokens = {{9, -2, {}}};
  deltas[1].text = "b";
  deltas[1].finish = FinishReason::kStop;
  deltas[1].stop_string = "END";
  deltas[1].usage = {4, 1};
  deltas[1].kept = KeptAnswer{{1, 2}, "a1", {3, 4}};
  deltas[2].tokens = {{4, -1, {}}};
  deltas[2].finish = FinishReason::kLength;
  deltas[2].usage = {4, 2};
  return deltas;
}

TEST(ConvertUser, WhatIsAskedOfAPromptComesBackAsItWas) {
  UserRequest request;
  request.request_id = "mine";
  request.priority = 3;
  request.cache_salt = "salt";
  request.prompt = std::vector<int32_t>{5, 6};
  for (Pooling pooling : {Pooling::kLast, Pooling::kMean, Pooling::kAll}) {
    request.pooling = pooling;
    request.normalise = pooling == Pooling::kMean;
    const absl::StatusOr<UserRequest> back = FromProto(ToEmbedProto(request));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->pooling, pooling);
    EXPECT_EQ(back->normalise, request.normalise);
    EXPECT_EQ(back->request_id, "mine");
    EXPECT_EQ(back->priority, 3);
    EXPECT_EQ(back->cache_salt, "salt");
    EXPECT_EQ(std::get<std::vector<int32_t>>(back->prompt), (std::vector<int32_t>{5, 6}));
  }
  const absl::StatusOr<UserRequest> classes = FromProto(ToClassifyProto(request));
  ASSERT_TRUE(classes.ok()) << classes.status();
  EXPECT_EQ(classes->pooling, Pooling::kClasses);
  EXPECT_EQ(std::get<std::vector<int32_t>>(classes->prompt), (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(FromProto(v1::EmbedRequest()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ConvertUser, APooledAnswerIsAllItsPieces) {
  UserRequest request;
  request.request_id = "mine";
  request.pooling = Pooling::kAll;
  PooledAnswer answer(request);
  Delta piece;
  piece.values = {1, 2};
  answer.Add(piece);
  piece.values = {3, 4, 5, 6};
  piece.finish = FinishReason::kPrompt;
  piece.usage = {3, 0, 1};
  answer.Add(piece);
  const v1::EmbedResponse embedding = answer.TakeEmbedding();
  EXPECT_EQ(embedding.request_id(), "mine");
  EXPECT_EQ(embedding.width(), 2);
  EXPECT_EQ(embedding.embedding_size(), 6);
  EXPECT_EQ(embedding.usage().prompt_tokens(), 3);
  const Delta delta = DeltaOf(embedding);
  EXPECT_EQ(delta.values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(delta.usage, (Usage{3, 0, 1}));
  EXPECT_EQ(delta.finish, FinishReason::kPrompt);

  PooledAnswer classes({.pooling = Pooling::kClasses});
  piece.values = {1, 7, 7};
  piece.label = "good";
  classes.Add(piece);
  EXPECT_EQ(classes.TakeClasses().best(), 1);
  EXPECT_EQ(DeltaOf(classes.TakeClasses()).label, "good");
}

TEST(ConvertUser, ADeltaComesBackAsItWas) {
  const ResponseEncoder encode{.request_id = "r1", .logprobs = true};
  for (const Delta& delta : SomeDeltas()) {
    auto back = FromProto(encode(delta));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->choice, delta.choice);
    EXPECT_EQ(back->tokens, delta.tokens);
    EXPECT_EQ(back->text, delta.text);
    EXPECT_EQ(back->finish, delta.finish);
    EXPECT_EQ(back->stop_string, delta.stop_string);
    EXPECT_EQ(back->usage, delta.usage);
    EXPECT_EQ(back->prompt_logprobs, delta.prompt_logprobs);
    EXPECT_EQ(back->kept, delta.kept);
    ASSERT_EQ(back->opening.has_value(), delta.opening.has_value());
    if (!delta.opening.has_value()) continue;
    EXPECT_EQ(back->opening->seed, 77u);
    EXPECT_TRUE(back->opening->text);
    EXPECT_EQ(encode(delta).request_id(), "r1");
  }
  EXPECT_FALSE(ResponseEncoder()(SomeDeltas()[0]).tokens(0).has_logprob()) << "not asked for";
}

TEST(ConvertUser, AResultIsAllPiecesOfEachChoice) {
  ResultBuilder builder({.request_id = "r1", .logprobs = true});
  for (const Delta& delta : SomeDeltas()) builder.Add(delta);
  const v1::GenerateResult result = builder.Take();
  EXPECT_EQ(result.request_id(), "r1");
  EXPECT_EQ(result.seed(), 77u);
  EXPECT_EQ(result.prompt_tokens(), 4);
  EXPECT_EQ(result.prompt_logprobs_size(), 2);
  ASSERT_EQ(result.choices_size(), 2);
  EXPECT_EQ(result.choices(0).tokens_size(), 2);
  EXPECT_EQ(result.choices(0).text(), "a");
  EXPECT_EQ(result.choices(0).finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(result.choices(1).stop_string(), "END");
  EXPECT_EQ(result.usage().output_tokens(), 3);
}

}  // namespace
}  // namespace expertmesh
