#include "attention_worker/service/attention_service.h"

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "rpc/convert_generation.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

GenerateRequest SomeRequest() {
  GenerateRequest request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 4;
  return request;
}

// A front door's call, one message at a time.
struct Call {
  explicit Call(const std::string& address, const v1::AttentionGenerateRequest& request,
                std::chrono::milliseconds patience = std::chrono::seconds(20))
      : stub(v1::AttentionService::NewStub(DialInsecure(address))) {
    context.set_deadline(std::chrono::system_clock::now() + patience);
    reader = stub->Generate(&context, request);
  }
  Delta Read() {
    v1::AttentionGenerateResponse response;
    EXPECT_TRUE(reader->Read(&response));
    auto delta = FromProto(response);
    EXPECT_TRUE(delta.ok()) << delta.status();
    return delta.ok() ? *delta : Delta();
  }
  absl::Status Finish() {
    v1::AttentionGenerateResponse response;
    while (reader->Read(&response)) {
    }
    return FromGrpcStatus(reader->Finish());
  }
  std::unique_ptr<v1::AttentionService::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::AttentionGenerateResponse>> reader;
};

struct AttentionServiceTest : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&service});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }
  FakePort port;
  AttentionGrpcService service{&port};
  std::unique_ptr<RpcServer> server;
};

TEST_F(AttentionServiceTest, StreamsDeltasAndEndsOnce) {
  Call call(server->address(), ToProto(SomeRequest()));
  const RequestId id = port.WaitForStart();
  EXPECT_EQ(port.asked.Get().started.at(id).prompt, SomeRequest().prompt);
  Delta first = TokenDelta(7, -0.25f);
  first.prompt_logprobs = {-1, -2};
  port.Deliver(id, first);
  const Delta got = call.Read();
  EXPECT_EQ(got.tokens, first.tokens);
  EXPECT_EQ(got.prompt_logprobs, first.prompt_logprobs);
  port.Deliver(id, LastDelta(8, FinishReason::kLength, {3, 2}));
  port.End(id, absl::OkStatus());
  EXPECT_EQ(call.Read().usage, (Usage{3, 2}));
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_EQ(service.running(), 0u);
  EXPECT_TRUE(port.asked.Get().cancelled.empty());
}

TEST_F(AttentionServiceTest, AnErrorKeepsItsCodeTextAndHint) {
  Call call(server->address(), ToProto(SomeRequest()));
  port.End(port.WaitForStart(),
           WithRetryAfter(absl::UnavailableError("nobody holds layer 3"), Milliseconds(500)));
  const absl::Status status = call.Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "nobody holds layer 3");
  EXPECT_EQ(RetryAfter(status), Milliseconds(500));
}

TEST_F(AttentionServiceTest, ABadRequestNeverReachesThePort) {
  Call call(server->address(), v1::AttentionGenerateRequest());
  EXPECT_EQ(call.Finish().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(port.asked.Get().order.empty());
}

TEST_F(AttentionServiceTest, ACancelledCallCancelsItsRequestAndLateEventsAreHarmless) {
  Call call(server->address(), ToProto(SomeRequest()));
  const RequestId id = port.WaitForStart();
  port.Deliver(id, TokenDelta(7));
  call.Read();
  call.context.TryCancel();
  EXPECT_EQ(call.Finish().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(port.WaitForCancel(id));
  port.Deliver(id, TokenDelta(8));
  port.End(id, absl::OkStatus());
  EXPECT_EQ(service.running(), 0u);
}

TEST_F(AttentionServiceTest, TheCallsDeadlineIsTheRequestsAndCancelsIt) {
  const Time before = Now();
  Call call(server->address(), ToProto(SomeRequest()), std::chrono::milliseconds(300));
  const RequestId id = port.WaitForStart();
  const Time deadline = port.asked.Get().started.at(id).deadline;
  EXPECT_LT(deadline, before + std::chrono::seconds(10));
  EXPECT_EQ(call.Finish().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(port.WaitForCancel(id));
}

TEST_F(AttentionServiceTest, CallsDoNotMix) {
  Call one(server->address(), ToProto(SomeRequest()));
  const RequestId first = port.WaitForStart(0);
  Call two(server->address(), ToProto(SomeRequest()));
  const RequestId second = port.WaitForStart(1);
  ASSERT_NE(first, second);
  port.Deliver(second, LastDelta(2, FinishReason::kStop, {3, 1}));
  port.Deliver(first, LastDelta(1, FinishReason::kStop, {3, 1}));
  port.End(second, absl::OkStatus());
  port.End(first, absl::OkStatus());
  EXPECT_EQ(one.Read().tokens[0].id, 1);
  EXPECT_EQ(two.Read().tokens[0].id, 2);
  EXPECT_TRUE(one.Finish().ok());
  EXPECT_TRUE(two.Finish().ok());
}

TEST_F(AttentionServiceTest, ManyDeltasArriveCompleteAndInOrderFromAnotherThread) {
  Call call(server->address(), ToProto(SomeRequest()));
  const RequestId id = port.WaitForStart();
  constexpr int32_t kTokens = 20'000;
  std::thread maker([&] {
    for (int32_t i = 0; i < kTokens; ++i) port.Deliver(id, TokenDelta(i));
    port.Deliver(id, LastDelta(kTokens, FinishReason::kLength, {3, kTokens + 1}));
    port.End(id, absl::OkStatus());
  });
  int32_t next = 0;
  while (next <= kTokens) {
    const Delta delta = call.Read();
    ASSERT_FALSE(delta.tokens.empty());
    for (const OutputToken& token : delta.tokens) ASSERT_EQ(token.id, next++);
  }
  maker.join();
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(AttentionServiceTest, AReaderThatDoesNotReadIsCutOffAtTheBound) {
  Call call(server->address(), ToProto(SomeRequest()));
  const RequestId id = port.WaitForStart();
  Delta big = TokenDelta(1);
  big.tokens[0].top.resize(1024);
  // Far beyond what waits here and what gRPC holds itself.
  for (int i = 0; i < 6000; ++i) port.Deliver(id, big);
  EXPECT_TRUE(port.WaitForCancel(id));
  EXPECT_EQ(service.running(), 0u);
  EXPECT_EQ(call.Finish().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(AttentionServiceTest, AServerThatStopsEndsItsCalls) {
  Call call(server->address(), ToProto(SomeRequest()));
  const RequestId id = port.WaitForStart();
  server->Stop(Duration::zero());
  EXPECT_FALSE(call.Finish().ok());
  EXPECT_TRUE(port.WaitForCancel(id));
  port.End(id, absl::OkStatus());
}

}  // namespace
}  // namespace expertmesh
