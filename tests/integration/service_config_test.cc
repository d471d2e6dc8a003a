// The published service config, as a client's channel takes it: what gRPC then sends again by
// itself, and what not.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "common/status.h"
#include "coordinator/service/generation_service.h"
#include "expertmesh/v1/admin.pb.h"
#include "rpc/channel.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

constexpr char kFile[] = EXPERTMESH_SOURCE_DIR "/proto/expertmesh/v1/service_config.json";

std::string ServiceConfig() {
  std::ostringstream text;
  text << std::ifstream(kFile).rdbuf();
  EXPECT_NE(text.str(), "") << kFile;
  return text.str();
}

std::shared_ptr<grpc::Channel> Dial(const std::string& address) {
  grpc::ChannelArguments arguments = ClientArguments();
  arguments.SetServiceConfigJSON(ServiceConfig());
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// Says UNAVAILABLE so many times, as the front door does, then what is served.
class Flaky final : public v1::Generation::CallbackService {
 public:
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest*,
                                       v1::ListModelsResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    ++calls;
    if (calls <= failures) {
      reactor->Finish(ToGrpcStatus(TryAgainLater("a worker was lost")));
    } else {
      response->add_models()->set_name("tiny");
      reactor->Finish(grpc::Status::OK);
    }
    return reactor;
  }
  std::atomic<int> calls{0};
  int failures = 2;
};

TEST(ServiceConfig, AUnaryCallIsSentAgainUntilItIsServed) {
  Flaky flaky;
  auto server = RpcServer::Start({}, {&flaky});
  ASSERT_TRUE(server.ok()) << server.status();
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  const grpc::Status status =
      v1::Generation::NewStub(Dial((*server)->address()))->ListModels(&context, {}, &models);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(models.models_size(), 1);
  EXPECT_EQ(flaky.calls, 3);
}

// The real service; the test plays the fleet behind it.
class StreamTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = RpcServer::Start({}, {&service_});
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    call_ = std::thread([this] {
      auto stub = v1::Generation::NewStub(Dial(server_->address()));
      v1::GenerateRequest request;
      request.mutable_token_ids()->add_ids(5);
      auto reader = stub->GenerateStream(&context_, request);
      for (v1::GenerateResponse response; reader->Read(&response);) ++messages_;
      status_ = FromGrpcStatus(reader->Finish());
      ended_.Change([](bool& ended) { ended = true; });
    });
  }
  void TearDown() override {
    door_.Stop();
    server_.reset();
  }
  // Also a call that was sent again although it should not: it has nobody to end it.
  void WaitForEnd() {
    EXPECT_TRUE(ended_.WaitFor([](bool ended) { return ended; }));
    context_.TryCancel();
    call_.join();
  }
  void End(size_t attempt, absl::Status status) {
    port_.End(port_.WaitForStart(attempt), std::move(status));
  }
  size_t attempts() { return port_.asked.Get().order.size(); }

  FakePort port_;
  std::atomic<RequestId> last_id_{100};
  TextDoor door_{{}, TokensOnly("tiny"), &port_, [this] { return ++last_id_; }};
  prometheus::Registry registry_;
  GenerationMetrics metrics_{&registry_};
  GenerationGrpcService service_{&door_, [] { return FleetListing(); }, &metrics_};
  std::unique_ptr<RpcServer> server_;
  grpc::ClientContext context_;
  std::thread call_;
  Watched<bool> ended_;
  int messages_ = 0;
  absl::Status status_;
};

TEST_F(StreamTest, IsSentAgainWhileNothingHasCome) {
  End(0, TryAgainLater("no attention worker is ready"));
  End(1, TryAgainLater("no attention worker is ready"));
  const RequestId id = port_.WaitForStart(2);
  port_.Deliver(id, LastDelta(7, FinishReason::kLength, {1, 1}));
  port_.End(id, absl::OkStatus());
  WaitForEnd();
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_EQ(messages_, 1);
  EXPECT_EQ(attempts(), 3u);
}

TEST_F(StreamTest, IsNotSentAgainAfterItsFirstMessage) {
  const RequestId id = port_.WaitForStart();
  port_.Deliver(id, TokenDelta(7));
  port_.End(id, TryAgainLater("a worker was lost"));
  WaitForEnd();
  EXPECT_EQ(status_.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status_.message(), "a worker was lost");
  EXPECT_TRUE(RetryAfter(status_).has_value()) << "the client is to resume it";
  EXPECT_EQ(messages_, 1);
  EXPECT_EQ(attempts(), 1u);
}

TEST_F(StreamTest, IsNotSentAgainWhenItIsRefused) {
  End(0, absl::InvalidArgumentError("temperature is -1"));
  WaitForEnd();
  EXPECT_EQ(status_.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(attempts(), 1u);
}

TEST_F(StreamTest, IsGivenUpAfterAllAttempts) {
  for (size_t attempt = 0; attempt < 4; ++attempt) End(attempt, TryAgainLater("still not"));
  WaitForEnd();
  EXPECT_EQ(status_.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status_.message(), "still not");
  EXPECT_EQ(attempts(), 4u);
}

// All of the users' API, the one call of operators that is safe, and nothing of the workers'.
TEST(ServiceConfig, NamesTheCallsThatExistAndSetsNeitherDeadlinesNorWaiting) {
  std::set<std::string> named;
  const nlohmann::json file = nlohmann::json::parse(ServiceConfig());
  for (const nlohmann::json& config : file.at("methodConfig")) {
    EXPECT_FALSE(config.contains("timeout")) << "the caller's deadline is the request's";
    EXPECT_FALSE(config.contains("waitForReady"));
    EXPECT_TRUE(config.contains("retryPolicy"));
    for (const nlohmann::json& name : config.at("name")) {
      named.insert(name.at("service").get<std::string>() + "." +
                   name.at("method").get<std::string>());
    }
  }
  std::set<std::string> safe = {"expertmesh.v1.Admin.GetTopology"};
  const google::protobuf::ServiceDescriptor* users =
      v1::GenerateRequest::descriptor()->file()->FindServiceByName("Generation");
  for (int i = 0; i < users->method_count(); ++i) safe.insert(users->method(i)->full_name());
  EXPECT_EQ(named, safe);
  EXPECT_NE(
      v1::GetTopologyRequest::descriptor()->file()->FindServiceByName("Admin")->FindMethodByName(
          "GetTopology"),
      nullptr);
}

}  // namespace
}  // namespace expertmesh
