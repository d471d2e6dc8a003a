#include "rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

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

// Calls stay open until the test lets them go, or the server cancels them.
class SlowAdmin final : public v1::Admin::CallbackService {
 public:
  struct Seen {
    std::vector<std::string> peers;  // of each call, in order
  };
  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const v1::GetTopologyRequest*,
                                        v1::GetTopologyResponse* response) override {
    auto* reactor = new Reactor(this);
    response->set_missing(std::string(answer_bytes, 'x'));
    if (hold) {
      MutexLock lock(mutex_);
      held_.insert(reactor);
    } else {
      reactor->Finish(grpc::Status::OK);
    }
    seen.Change([&](Seen& seen) { seen.peers.push_back(context->peer()); });
    return reactor;
  }
  bool WaitForCalls(size_t count) {
    return seen.WaitFor([&](const Seen& seen) { return seen.peers.size() == count; });
  }
  void LetGo() {
    MutexLock lock(mutex_);
    for (grpc::ServerUnaryReactor* reactor : held_) reactor->Finish(grpc::Status::OK);
    held_.clear();
  }
  bool hold = false;
  size_t answer_bytes = 1;
  Watched<Seen> seen;

 private:
  class Reactor final : public grpc::ServerUnaryReactor {
   public:
    explicit Reactor(SlowAdmin* admin) : admin_(admin) {}

   private:
    void OnCancel() override {
      MutexLock lock(admin_->mutex_);
      if (admin_->held_.erase(this) > 0) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }
    SlowAdmin* const admin_;
  };
  Mutex mutex_;
  std::set<grpc::ServerUnaryReactor*> held_ ABSL_GUARDED_BY(mutex_);
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

// A call that is on its way; it must end before this does.
struct RunningCall {
  explicit RunningCall(const std::shared_ptr<grpc::Channel>& channel)
      : stub(v1::Admin::NewStub(channel)) {
    stub->async()->GetTopology(&context, &request, &response, [this](grpc::Status status) {
      ended.Change([&](auto& code) { code = status.error_code(); });
    });
  }
  grpc::StatusCode Wait() {
    EXPECT_TRUE(ended.WaitFor([](const auto& code) { return code.has_value(); }));
    return ended.Get().value_or(grpc::StatusCode::UNKNOWN);
  }
  std::unique_ptr<v1::Admin::Stub> stub;
  grpc::ClientContext context;
  const v1::GetTopologyRequest request;
  v1::GetTopologyResponse response;
  Watched<std::optional<grpc::StatusCode>> ended;
};

TEST(RpcServer, StopCancelsWhatOutlivesItsGrace) {
  SlowAdmin admin;
  admin.hold = true;
  auto server = StartServer(&admin);
  RunningCall call(DialInsecure(server->address()));
  ASSERT_TRUE(admin.WaitForCalls(1));
  server->Stop(std::chrono::milliseconds(50));
  EXPECT_NE(call.Wait(), grpc::StatusCode::OK);
  server->Stop(std::chrono::seconds(1));  // idempotent
}

TEST(RpcServer, DrainTakesNothingNewAndLetsCallsRunOn) {
  SlowAdmin admin;
  admin.hold = true;
  auto server = StartServer(&admin);
  const std::shared_ptr<grpc::Channel> channel = DialInsecure(server->address());
  RunningCall call(channel);
  ASSERT_TRUE(admin.WaitForCalls(1));
  server->Drain();
  // Until the client has heard of it, calls may be let in, or cut off with CANCELLED.
  std::vector<std::unique_ptr<RunningCall>> calls;
  do {
    calls.push_back(std::make_unique<RunningCall>(channel));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  } while (calls.back()->ended.Get() != grpc::StatusCode::UNAVAILABLE && calls.size() < 500);
  EXPECT_EQ(calls.back()->Wait(), grpc::StatusCode::UNAVAILABLE);
  calls.pop_back();
  EXPECT_FALSE(call.ended.Get().has_value());
  admin.LetGo();
  EXPECT_EQ(call.Wait(), grpc::StatusCode::OK);
  for (const auto& early : calls) early->Wait();
  server->Stop(std::chrono::hours(1));  // nothing runs: no wait
}

TEST(RpcServer, AnOldConnectionKeepsItsCallsAndGetsNoNewOnes) {
  SlowAdmin admin;
  admin.hold = true;
  RpcServerOptions options;
  options.max_connection_age = std::chrono::milliseconds(100);
  auto server = StartServer(&admin, options);
  const std::shared_ptr<grpc::Channel> channel = DialInsecure(server->address());
  RunningCall old(channel);
  ASSERT_TRUE(admin.WaitForCalls(1));
  // One call after the other: once the connection is too old, one of them comes on another.
  std::vector<std::unique_ptr<RunningCall>> calls;
  do {
    calls.push_back(std::make_unique<RunningCall>(channel));
    ASSERT_TRUE(admin.WaitForCalls(calls.size() + 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  } while (admin.seen.Get().peers.back() == admin.seen.Get().peers.front() && calls.size() < 500);
  EXPECT_NE(admin.seen.Get().peers.back(), admin.seen.Get().peers.front());
  EXPECT_FALSE(old.ended.Get().has_value());
  admin.LetGo();
  EXPECT_EQ(old.Wait(), grpc::StatusCode::OK);
  for (const auto& call : calls) EXPECT_EQ(call->Wait(), grpc::StatusCode::OK);
}

}  // namespace
}  // namespace expertmesh
