#include "coordinator/service/coordinator_server.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "coordinator/service/listing.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/convert.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

constexpr ExpertGrid kGrid{1, 2, 4};

FleetListing SomeListing() {
  FleetListing listing;
  listing.topology.epoch = {3, 4};
  listing.topology.model.grid = kGrid;
  listing.uncovered = ExpertSet(kGrid);
  WorkerListing attention;
  attention.report.name = "a1";
  attention.report.role = WorkerRole::kAttention;
  attention.report.running_sequences = 2;
  attention.state = WorkerState::kReady;
  WorkerListing expert;
  expert.report.name = "e1";
  expert.report.holds = ExpertSet::Full(kGrid);
  expert.assigned = ExpertSet::Full(kGrid);
  expert.state = WorkerState::kLost;
  expert.note = "not used for some";
  listing.workers = {attention, expert};
  return listing;
}

TEST(Listing, TellsOperatorsWhatControlKnows) {
  FleetListing listing = SomeListing();
  listing.uncovered.Insert(2, 3);
  const v1::GetTopologyResponse proto = ToProto(listing);
  EXPECT_EQ(proto.topology().epoch().counter(), 4u);
  EXPECT_EQ(proto.uncovered_experts(), 1);
  EXPECT_EQ(proto.uncovered_text(), "layer 2: experts 3");
  EXPECT_EQ(proto.workers(0).running_sequences(), 2u);
  EXPECT_FALSE(proto.workers(0).has_holds());
  EXPECT_EQ(proto.workers(1).state(), v1::WORKER_STATE_LOST);
  EXPECT_EQ(proto.workers(1).holds_experts(), 8);
  EXPECT_EQ(proto.workers(1).holds_text(), "layers 1-2: experts 0-3");
  EXPECT_FALSE(proto.has_missing());
  EXPECT_FALSE(proto.workers(0).has_note());
  EXPECT_EQ(proto.workers(1).note(), "not used for some");
  listing.missing = "something";
  EXPECT_EQ(ToProto(listing).missing(), "something");
}

TEST(HealthWatch, TellsTheFirstAnswerAndEachChange) {
  std::atomic<bool> can_serve{false};
  Watched<std::vector<bool>> told;
  HealthWatch watch(
      [&] { return can_serve.load(); },
      [&](bool serving) { told.Change([&](auto& told) { told.push_back(serving); }); },
      std::chrono::milliseconds(1));
  ASSERT_TRUE(told.WaitFor([](const auto& told) { return told.size() == 1; }));
  can_serve = true;
  ASSERT_TRUE(told.WaitFor([](const auto& told) { return told.size() == 2; }));
  watch.Stop();
  EXPECT_EQ(told.Get(), (std::vector<bool>{false, true}));
}

// The users' call, over the service alone: the front door is a fake.
struct GenerationTest : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&service});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::Generation::NewStub(DialInsecure(server->address()));
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    request.mutable_token_ids()->add_ids(5);
    request.mutable_token_ids()->add_ids(6);
    request.mutable_stopping()->set_max_tokens(3);
  }
  FakePort port;
  RequestId last_id = 100;
  GenerationGrpcService service{&port, [this] { return ++last_id; }};
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<v1::Generation::Stub> stub;
  grpc::ClientContext context;
  v1::GenerateRequest request;
};

TEST_F(GenerationTest, FirstAndLastMessagesSayWhatTheCommentsPromise) {
  request.set_request_id("mine");
  auto reader = stub->GenerateStream(&context, request);
  const RequestId id = port.WaitForStart();
  EXPECT_EQ(id, 101u);
  port.Deliver(id, TokenDelta(8));
  v1::GenerateResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.prompt_tokens(), 2);
  EXPECT_EQ(response.request_id(), "mine");
  EXPECT_EQ(response.tokens(0).id(), 8);
  EXPECT_FALSE(response.tokens(0).has_logprob()) << "not asked for";
  EXPECT_FALSE(response.has_finish_reason());

  port.Deliver(id, LastDelta(9, FinishReason::kStop, {2, 2}));
  port.End(id, absl::OkStatus());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_FALSE(response.has_prompt_tokens());
  EXPECT_FALSE(response.has_request_id());
  EXPECT_EQ(response.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(response.stop_token_id(), 9);
  EXPECT_EQ(response.usage().output_tokens(), 2);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GenerationTest, ABadRequestIsRefusedBeforeAnyWork) {
  request.mutable_sampling()->set_temperature(1);
  auto reader = stub->GenerateStream(&context, request);
  v1::GenerateResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("temperature is 1"));
  EXPECT_TRUE(port.asked.Get().order.empty());
}

// A whole coordinator without workers.
struct CoordinatorServerTest : ::testing::Test {
  void SetUp() override {
    auto started = CoordinatorServer::Start(&coordinator, {});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    channel = DialInsecure(server->address());
  }
  Coordinator coordinator{{},
                          [](const auto&, const auto&) { return std::make_unique<FakePort>(); }};
  std::unique_ptr<CoordinatorServer> server;
  std::shared_ptr<grpc::Channel> channel;
};

TEST_F(CoordinatorServerTest, AnEmptyFleetIsListedAndRefusesRequests) {
  grpc::ClientContext list_context;
  v1::GetTopologyResponse fleet;
  ASSERT_TRUE(v1::Admin::NewStub(channel)->GetTopology(&list_context, {}, &fleet).ok());
  EXPECT_EQ(fleet.workers_size(), 0);
  EXPECT_NE(fleet.missing(), "");

  GenerateRequest request;
  request.prompt = {1};
  request.max_tokens = 1;
  grpc::ClientContext context;
  auto stub = v1::Generation::NewStub(channel);
  const absl::Status status =
      FromGrpcStatus(stub->GenerateStream(&context, ToPublicProto(request))->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(RetryAfter(status).has_value());
}

TEST_F(CoordinatorServerTest, HealthTellsTheServerFromTheService) {
  auto stub = grpc::health::v1::Health::NewStub(channel);
  const auto watch = [&](const std::string& service) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    auto reader = stub->Watch(&context, request);
    grpc::health::v1::HealthCheckResponse response;
    do {
      EXPECT_TRUE(reader->Read(&response));  // until the service is known
    } while (response.status() == grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN);
    context.TryCancel();
    return response.status();
  };
  EXPECT_EQ(watch(""), grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_EQ(watch("expertmesh.v1.Generation"), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
}

TEST_F(CoordinatorServerTest, StopsQuicklyAndTwice) {
  server->Stop(std::chrono::seconds(20));  // nothing runs: no wait
  server->Stop(std::chrono::seconds(20));
  grpc::ClientContext context;
  v1::GetTopologyResponse fleet;
  EXPECT_FALSE(v1::Admin::NewStub(channel)->GetTopology(&context, {}, &fleet).ok());
}

}  // namespace
}  // namespace expertmesh
