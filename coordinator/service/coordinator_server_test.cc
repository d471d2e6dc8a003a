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
#include "tests/support/http_get.h"

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
  attention.report.load.running_sequences = 2;
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

// A whole coordinator without workers.
struct CoordinatorServerTest : ::testing::Test {
  void SetUp() override {
    auto started = CoordinatorServer::Start(&coordinator, TokensOnly("tiny"),
                                            {.metrics_listen = "127.0.0.1:0"});
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

  v1::GenerateRequest request;
  request.mutable_token_ids()->add_ids(1);
  grpc::ClientContext context;
  auto stub = v1::Generation::NewStub(channel);
  const absl::Status status = FromGrpcStatus(stub->GenerateStream(&context, request)->Finish());
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

TEST_F(CoordinatorServerTest, CallsAreCountedWhereMetricsAre) {
  grpc::ClientContext context;
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(v1::Generation::NewStub(channel)->GetServerInfo(&context, {}, &info).ok());
  EXPECT_THAT(HttpGet(server->metrics_address(), "/metrics"),
              HasSubstr("expertmesh_requests_total{code=\"OK\",method=\"GetServerInfo\"} 1"));
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
