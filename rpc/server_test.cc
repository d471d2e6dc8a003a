#include "rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "expertmesh/v1/admin.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

// A call that stays open until the test lets it go, or the server cancels it.
class SlowAdmin final : public v1::Admin::CallbackService {
 public:
  struct Seen {
    int calls = 0;
  };
  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const v1::GetTopologyRequest*,
                                        v1::GetTopologyResponse* response) override {
    class Reactor final : public grpc::ServerUnaryReactor {
     public:
      explicit Reactor(bool held) : held_(held) {}

     private:
      void OnCancel() override {
        if (held_) Finish(grpc::Status::CANCELLED);
      }
      void OnDone() override { delete this; }
      const bool held_;
    };
    auto* reactor = new Reactor(hold);
    if (!hold) {
      response->set_missing(std::string(answer_bytes, 'x'));
      reactor->Finish(grpc::Status::OK);
    }
    seen.Change([](Seen& seen) { ++seen.calls; });
    return reactor;
  }
  bool hold = false;
  size_t answer_bytes = 1;
  Watched<Seen> seen;
};

std::unique_ptr<RpcServer> StartServer(grpc::Service* service, RpcServerOptions options = {}) {
  auto server = RpcServer::Start(options, {service});
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

HealthCheckResponse::ServingStatus HealthOf(RpcServer& server, const std::string& service) {
  auto stub = Health::NewStub(DialInsecure(server.address()));
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, request, &response);
  return status.ok() ? response.status() : HealthCheckResponse::SERVICE_UNKNOWN;
}

TEST(RpcServer, TellsThePortThatItGot) {
  SlowAdmin admin;
  auto server = StartServer(&admin);
  EXPECT_THAT(server->address(), ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  grpc::ClientContext context;
  v1::GetTopologyResponse response;
  EXPECT_TRUE(v1::Admin::NewStub(DialInsecure(server->address()))
                  ->GetTopology(&context, {}, &response)
                  .ok());
}

TEST(RpcServer, RefusesAnAddressThatOthersCanReach) {
  SlowAdmin admin;
  auto server = RpcServer::Start({.listen = "0.0.0.0:0"}, {&admin});
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("--allow-insecure-listen"));
}

TEST(RpcServer, ATakenPortIsAnError) {
  SlowAdmin admin, other;
  auto server = StartServer(&admin);
  auto second = RpcServer::Start({.listen = server->address()}, {&other});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server->address()));
}

TEST(RpcServer, ServesStandardHealth) {
  SlowAdmin admin;
  auto server = StartServer(&admin);
  EXPECT_EQ(HealthOf(*server, ""), HealthCheckResponse::SERVING);
  EXPECT_EQ(HealthOf(*server, "a.Service"), HealthCheckResponse::SERVICE_UNKNOWN);
  server->SetServing("a.Service", false);
  EXPECT_EQ(HealthOf(*server, "a.Service"), HealthCheckResponse::NOT_SERVING);
  server->SetServing("a.Service", true);
  EXPECT_EQ(HealthOf(*server, "a.Service"), HealthCheckResponse::SERVING);
  server->SetNotServing();
  EXPECT_EQ(HealthOf(*server, ""), HealthCheckResponse::NOT_SERVING);
  server->SetServing("a.Service", true);
  EXPECT_EQ(HealthOf(*server, "a.Service"), HealthCheckResponse::NOT_SERVING) << "for good";
}

// One request of the reflection protocol, as bytes: whoever has nothing but that protocol.
class ReflectionCall final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  struct Seen {
    std::string answer;
    bool done = false;
  };
  ReflectionCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& request)
      : stub_(channel) {
    const grpc::Slice slice(request);
    request_ = grpc::ByteBuffer(&slice, 1);
    stub_.PrepareBidiStreamingCall(
        &context_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", {}, this);
    StartRead(&response_);
    StartWriteLast(&request_, {});
    StartCall();
  }
  std::string Answer() {
    EXPECT_TRUE(seen_.WaitFor([](const Seen& seen) { return seen.done; }));
    return seen_.Get().answer;
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    std::vector<grpc::Slice> slices;
    (void)response_.Dump(&slices);
    seen_.Change([&](Seen& seen) {
      for (const grpc::Slice& slice : slices) {
        seen.answer.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      }
    });
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    seen_.Change([](Seen& seen) { seen.done = true; });
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_, response_;
  Watched<Seen> seen_;
};

TEST(RpcServer, ReflectionListsAndDescribesItsServices) {
  SlowAdmin admin;
  auto server = StartServer(&admin);
  auto channel = DialInsecure(server->address());
  ReflectionCall list(channel, "\x3a\x01*");  // list_services
  const std::string services = list.Answer();
  EXPECT_THAT(services, HasSubstr("expertmesh.v1.Admin"));
  EXPECT_THAT(services, HasSubstr("grpc.health.v1.Health"));
  ReflectionCall symbol(channel, std::string("\x22\x13") + "expertmesh.v1.Admin");
  EXPECT_THAT(symbol.Answer(), HasSubstr("GetTopologyResponse"));
  ReflectionCall health(channel, std::string("\x22\x15") + "grpc.health.v1.Health");
  EXPECT_THAT(health.Answer(), HasSubstr("HealthCheckResponse"));
}

TEST(RpcServer, AMethodThatNobodyServesIsNamed) {
  SlowAdmin admin;
  auto server = StartServer(&admin);
  grpc::GenericStub stub(DialInsecure(server->address()));
  for (const char* method : {"/expertmesh.v1.Admin/Reset", "/some.Service/Get"}) {
    grpc::ClientContext context;
    grpc::ByteBuffer request(nullptr, 0), response;
    Watched<std::optional<grpc::Status>> ended;
    stub.UnaryCall(&context, method, {}, &request, &response, [&](grpc::Status status) {
      ended.Change([&](auto& value) { value = status; });
    });
    ASSERT_TRUE(ended.WaitFor([](const auto& value) { return value.has_value(); }));
    EXPECT_EQ(ended.Get()->error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_EQ(
        ended.Get()->error_message(),
        std::string("method is ") + method + "; it is not served here, reflection lists what is");
  }
}

TEST(RpcServer, MessagesBeyondTheBoundAreRefused) {
  SlowAdmin admin;
  RpcServerOptions options;
  options.max_message_bytes = 1000;
  auto server = StartServer(&admin, options);
  auto stub = v1::Admin::NewStub(DialInsecure(server->address()));
  const auto ask = [&] {
    grpc::ClientContext context;
    v1::GetTopologyResponse response;
    return stub->GetTopology(&context, {}, &response).error_code();
  };
  admin.answer_bytes = 900;
  EXPECT_EQ(ask(), grpc::StatusCode::OK);
  admin.answer_bytes = 1001;
  EXPECT_EQ(ask(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(RpcServer, StopCancelsWhatOutlivesItsGrace) {
  SlowAdmin admin;
  admin.hold = true;
  auto server = StartServer(&admin);
  auto stub = v1::Admin::NewStub(DialInsecure(server->address()));
  grpc::ClientContext context;
  const v1::GetTopologyRequest request;
  v1::GetTopologyResponse response;
  Watched<std::optional<grpc::StatusCode>> ended;
  stub->async()->GetTopology(&context, &request, &response, [&](grpc::Status status) {
    ended.Change([&](auto& code) { code = status.error_code(); });
  });
  ASSERT_TRUE(admin.seen.WaitFor([](const SlowAdmin::Seen& seen) { return seen.calls == 1; }));
  server->Stop(std::chrono::milliseconds(50));
  EXPECT_TRUE(ended.WaitFor([](const auto& code) { return code.has_value(); }));
  EXPECT_NE(ended.Get(), grpc::StatusCode::OK);
  server->Stop(std::chrono::seconds(1));  // idempotent
}

}  // namespace
}  // namespace expertmesh
