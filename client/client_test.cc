#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/status.h"
#include "rpc/convert_generation.h"
#include "rpc/generate_reactor.h"
#include "rpc/server.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

// A coordinator of one FakePort, whose fleet is what the test says.
class FakeCoordinator final : public v1::Generation::CallbackService {
 public:
  grpc::ServerWriteReactor<v1::GenerateResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override {
    return GenerateReactor<UserRequest, v1::GenerateResponse>::Serve(
        &calls_, context, FromProto(*request), ResponseEncoder{.request_id = "", .logprobs = true});
  }
  // The first `embeds_refused` calls fail.
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const v1::EmbedRequest* request,
                                  v1::EmbedResponse* response) override {
    auto* reactor = context->DefaultReactor();
    ++embeds;
    if (embeds <= embeds_refused) {
      reactor->Finish(ToGrpcStatus(
          WithRetryAfter(absl::UnavailableError("a worker was lost"), Milliseconds(10))));
      return reactor;
    }
    response->set_width(2);
    response->add_embedding(0.5f);
    response->add_embedding(static_cast<float>(request->token_ids().ids_size()));
    response->mutable_usage()->set_prompt_tokens(request->token_ids().ids_size());
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  std::atomic<int> embeds{0}, embeds_refused{0};

  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const v1::AbortRequest* request, v1::AbortResponse*) override {
    aborted.Change([&](auto& tokens) { tokens.push_back(request->resume_token()); });
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  Watched<std::vector<std::string>> aborted;  // resume tokens

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest*,
                                       v1::ListModelsResponse* response) override {
    response->add_models()->set_vocabulary(2048);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  FakePortOf<UserRequest> port;

 private:
  std::atomic<RequestId> last_id_{0};
  PortCalls<UserRequest> calls_{&port, [this] { return ++last_id_; }};
};

class FakeAdmin final : public v1::Admin::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const v1::GetTopologyRequest*,
                                        v1::GetTopologyResponse* response) override {
    *response = fleet.Get();
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  Watched<v1::GetTopologyResponse> fleet;
};

v1::GetTopologyResponse WholeFleet() {
  v1::GetTopologyResponse fleet;
  fleet.mutable_topology()->mutable_epoch()->set_term(1);
  fleet.add_workers()->set_role(v1::WORKER_ROLE_ATTENTION);
  fleet.mutable_workers(0)->set_state(v1::WORKER_STATE_READY);
  return fleet;
}

UserRequest SomeRequest() {
  UserRequest request;
  request.prompt = std::vector<int32_t>{1, 2};
  request.max_tokens = 3;
  request.logprobs = true;
  return request;
}

struct ClientTest : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&coordinator, &admin});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    client.emplace(server->address());
  }
  // Runs the client on a thread of its own while the test plays the server.
  std::thread Generate(UserRequest request) {
    return std::thread([this, request = std::move(request)] {
      status = client->Generate(request, [this](const Delta& delta) {
        openings += delta.opening.has_value() ? 1 : 0;
        for (const OutputToken& token : delta.tokens) tokens.push_back(token);
        tokens_seen += delta.tokens.size();
      });
    });
  }
  FakeCoordinator coordinator;
  FakeAdmin admin;
  std::unique_ptr<RpcServer> server;
  std::optional<Client> client;
  absl::Status status;
  std::vector<OutputToken> tokens;
  std::atomic<size_t> tokens_seen{0};
  int openings = 0;
};

TEST_F(ClientTest, StreamsAnAnswer) {
  std::thread call = Generate(SomeRequest());
  const RequestId id = coordinator.port.WaitForStart();
  coordinator.port.Deliver(id, TokenDelta(7, -0.125f));
  coordinator.port.Deliver(id, LastDelta(8, FinishReason::kLength, {2, 2}));
  coordinator.port.End(id, absl::OkStatus());
  call.join();
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].logprob, -0.125f);
}

TEST_F(ClientTest, AnErrorKeepsItsCodeTextAndHint) {
  std::thread call = Generate(SomeRequest());
  coordinator.port.End(coordinator.port.WaitForStart(),
                       WithRetryAfter(absl::UnavailableError("uncovered"), Milliseconds(250)));
  call.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "uncovered");
  EXPECT_EQ(RetryAfter(status), Milliseconds(250));
}

// The rest of a broken answer is asked for with what was told and what is there already.
TEST_F(ClientTest, ResumesAnAnswerThatBreaksOff) {
  std::thread call = Generate(SomeRequest());
  RequestId id = coordinator.port.WaitForStart();
  Delta first = TokenDelta(7, -0.125f);
  first.opening = Opening{2, 99, false};
  coordinator.port.Deliver(id, first);
  coordinator.port.End(id, WithRetryAfter(absl::UnavailableError("lost"), Milliseconds(1)));
  id = coordinator.port.WaitForStart(1);
  const UserRequest rest = coordinator.port.asked.Get().started[id];
  EXPECT_EQ(rest.sampling.seed, 99u);
  ASSERT_TRUE(rest.resume.has_value());
  EXPECT_EQ(rest.resume->token_ids, std::vector<int32_t>{7});
  Delta last = LastDelta(8, FinishReason::kLength, {2, 2});
  last.opening = Opening{2, 99, false};
  coordinator.port.Deliver(id, last);
  coordinator.port.End(id, absl::OkStatus());
  call.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(openings, 1);
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[1].id, 8);
}

// The fleet keeps the answer meanwhile, where it has said.
TEST_F(ClientTest, AsksForTheRestWhereTheAnswerIsKept) {
  const KeptAnswer kept{{1, 2}, "a1", {3, 4}}, later{{1, 2}, "a2", {3, 5}};
  std::thread call = Generate(SomeRequest());
  RequestId id = coordinator.port.WaitForStart();
  EXPECT_TRUE(coordinator.port.asked.Get().started[id].keep);
  Delta first = TokenDelta(7, -0.125f);
  first.opening = Opening{2, 99, false};
  first.kept = kept;
  coordinator.port.Deliver(id, first);
  first = TokenDelta(8, -0.125f);
  first.kept = later;
  coordinator.port.Deliver(id, first);
  coordinator.port.End(id, WithRetryAfter(absl::UnavailableError("lost"), Milliseconds(1)));
  id = coordinator.port.WaitForStart(1);
  const UserRequest rest = coordinator.port.asked.Get().started[id];
  EXPECT_EQ(rest.resume->kept, later);
  coordinator.port.End(id, absl::InternalError("no"));
  call.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(coordinator.aborted.Get(), std::vector<std::string>{ToResumeToken(later)})
      << "nobody will ask for the rest";
}

TEST_F(ClientTest, WhatWasCancelledIsNotKept) {
  std::thread call = Generate(SomeRequest());
  const RequestId id = coordinator.port.WaitForStart();
  Delta first = TokenDelta(7, -0.125f);
  first.opening = Opening{2, 99, false};
  first.kept = KeptAnswer{{1, 2}, "a1", {3, 4}};
  coordinator.port.Deliver(id, first);
  while (tokens_seen == 0) std::this_thread::yield();
  client->CancelRunning();
  call.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(coordinator.aborted.Get().size(), 1u);
}

// What a caller resumes by itself begins with an opening like any other.
TEST_F(ClientTest, ToldIsTheOpeningOfAResumedRequestToo) {
  UserRequest request = SomeRequest();
  request.resume = ResumePoint{{7}, 0};
  request.sampling.seed = 99;
  std::thread call = Generate(request);
  const RequestId id = coordinator.port.WaitForStart();
  Delta last = LastDelta(8, FinishReason::kLength, {2, 2});
  last.opening = Opening{2, 99, false};
  coordinator.port.Deliver(id, last);
  coordinator.port.End(id, absl::OkStatus());
  call.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(openings, 1);
}

// Nothing is lost by asking about a prompt as a whole again.
TEST_F(ClientTest, AsksAgainForAnEmbeddingThatBrokeOff) {
  coordinator.embeds_refused = 2;
  UserRequest request;
  request.prompt = std::vector<int32_t>{1, 2, 3};
  request.pooling = Pooling::kMean;
  std::vector<float> values;
  EXPECT_EQ(client->Generate(request, [&](const Delta& delta) { values = delta.values; }),
            absl::OkStatus());
  EXPECT_EQ(values, (std::vector<float>{0.5f, 3.0f}));
  EXPECT_EQ(coordinator.embeds, 3);
  coordinator.embeds_refused = 1000;
  EXPECT_EQ(client->Generate(request, [](const Delta&) { FAIL(); }).code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(coordinator.embeds, 3 + 1 + client->most_resumes);
}

TEST_F(ClientTest, AnAnswerThatWasCompleteIsOneWhateverComesAfter) {
  std::thread call = Generate(SomeRequest());
  const RequestId id = coordinator.port.WaitForStart();
  coordinator.port.Deliver(id, LastDelta(8, FinishReason::kLength, {2, 1}));
  coordinator.port.End(id, absl::UnavailableError("the coordinator stops"));
  call.join();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ClientTest, GivesUpWhenNothingNewComesOfResuming) {
  client->most_resumes = 2;
  std::thread call = Generate(SomeRequest());
  Delta first = TokenDelta(7, -0.125f);
  first.opening = Opening{2, 99, false};
  coordinator.port.Deliver(coordinator.port.WaitForStart(), first);
  for (size_t attempt = 0; attempt < 3; ++attempt) {
    coordinator.port.End(coordinator.port.WaitForStart(attempt),
                         WithRetryAfter(absl::UnavailableError("lost"), Milliseconds(1)));
  }
  call.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(coordinator.port.asked.Get().order.size(), 3u);
}

TEST_F(ClientTest, AStreamWithoutAFinishReasonIsAnError) {
  std::thread call = Generate(SomeRequest());
  coordinator.port.End(coordinator.port.WaitForStart(), absl::OkStatus());
  call.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

TEST_F(ClientTest, TheDeadlineOfTheRequestHolds) {
  UserRequest request = SomeRequest();
  request.deadline = Now() + std::chrono::milliseconds(150);
  std::thread call = Generate(request);
  const RequestId id = coordinator.port.WaitForStart();
  call.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(coordinator.port.WaitForCancel(id));
}

TEST_F(ClientTest, WaitsUntilTheFleetIsWholeOrSaysWhatIsMissing) {
  admin.fleet.Change([](auto& fleet) { fleet.set_missing("1 more expert worker"); });
  const absl::Status missing = client->WaitUntilWhole(std::chrono::milliseconds(1500));
  EXPECT_EQ(missing.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("1 more expert worker"));
  admin.fleet.Change([](auto& fleet) { fleet = WholeFleet(); });
  EXPECT_TRUE(client->WaitUntilWhole(std::chrono::seconds(20)).ok());
  EXPECT_EQ(client->GetTopology()->topology().epoch().term(), 1u);
}

TEST_F(ClientTest, TellsWhatIsServed) {
  const auto models = client->ListModels();
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->models_size(), 1);
  EXPECT_EQ(models->models(0).vocabulary(), 2048);
}

TEST(Client, AServerThatIsNotThereIsUnavailable) {
  Client client("127.0.0.1:1");
  EXPECT_EQ(client.Generate(SomeRequest(), [](const Delta&) {}).code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.ListModels().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.WaitUntilWhole(std::chrono::milliseconds(1)).code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace expertmesh
