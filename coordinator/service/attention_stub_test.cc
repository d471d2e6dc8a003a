#include "coordinator/service/attention_stub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "expertmesh/v1/attention_service.grpc.pb.h"
#include "rpc/convert_generation.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

// An attention worker that answers each call by a script: messages, then a status; or waits.
class ScriptedWorker final : public v1::AttentionService::CallbackService {
 public:
  struct Script {
    std::vector<v1::AttentionGenerateResponse> messages;
    absl::Status status;
    bool wait = false;  // after the messages, until cancelled
  };
  struct Seen {
    std::vector<v1::AttentionGenerateRequest> requests;
    int cancelled = 0;
    std::vector<uint64_t> forgotten;  // low halves of keys
  };

  grpc::ServerWriteReactor<v1::AttentionGenerateResponse>* Generate(
      grpc::CallbackServerContext*, const v1::AttentionGenerateRequest* request) override {
    seen.Change([&](Seen& seen) { seen.requests.push_back(*request); });
    return new Reactor(this, script);
  }

  grpc::ServerUnaryReactor* Forget(grpc::CallbackServerContext* context,
                                   const v1::ForgetRequest* request, v1::ForgetResponse*) override {
    seen.Change([&](Seen& seen) { seen.forgotten.push_back(request->key().low()); });
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  Script script;
  Watched<Seen> seen;

 private:
  class Reactor final : public grpc::ServerWriteReactor<v1::AttentionGenerateResponse> {
   public:
    Reactor(ScriptedWorker* worker, Script script) : worker_(worker), script_(std::move(script)) {
      Next();
    }

   private:
    void Next() {
      if (next_ < script_.messages.size()) return StartWrite(&script_.messages[next_++]);
      if (!script_.wait) End(script_.status);
    }
    void End(const absl::Status& status) {
      if (!ended_.exchange(true)) Finish(ToGrpcStatus(status));
    }
    void OnWriteDone(bool ok) override { ok ? Next() : End(absl::CancelledError("")); }
    void OnCancel() override {
      worker_->seen.Change([](Seen& seen) { ++seen.cancelled; });
      if (script_.wait) End(absl::CancelledError("cancelled"));
    }
    void OnDone() override { delete this; }

    ScriptedWorker* worker_;
    Script script_;
    size_t next_ = 0;
    std::atomic<bool> ended_{false};
  };
};

// A front door's listener.
class Listener final : public GenerationListener {
 public:
  struct Seen {
    std::vector<int32_t> ids;
    std::vector<absl::Status> ends;
  };
  void OnDelta(RequestId id, Delta delta) override {
    EXPECT_EQ(id, 5u);
    seen.Change([&](Seen& seen) {
      EXPECT_TRUE(seen.ends.empty());
      for (const OutputToken& token : delta.tokens) seen.ids.push_back(token.id);
    });
  }
  void OnEnd(RequestId id, absl::Status status) override {
    seen.Change([&](Seen& seen) { seen.ends.push_back(std::move(status)); });
  }
  absl::Status WaitEnd() {
    EXPECT_TRUE(seen.WaitFor([](const Seen& seen) { return !seen.ends.empty(); }));
    const Seen now = seen.Get();
    EXPECT_EQ(now.ends.size(), 1u);
    return now.ends.empty() ? absl::UnknownError("no end") : now.ends[0];
  }
  Watched<Seen> seen;
};

GenerateRequest SomeRequest() {
  GenerateRequest request;
  request.prompt = {1, 2};
  request.max_tokens = 3;
  return request;
}

struct AttentionStubTest : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&worker});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    port = GrpcAttentionPorts()("a1", server->address());
    worker.script.messages = {ToProto(TokenDelta(10)),
                              ToProto(LastDelta(11, FinishReason::kStop, {2, 2}))};
  }
  void TearDown() override {
    port.reset();
    server.reset();
  }
  ScriptedWorker worker;
  std::unique_ptr<RpcServer> server;
  Listener listener;
  std::unique_ptr<AttentionPort> port;
};

TEST_F(AttentionStubTest, DeliversDeltasThenOneEnd) {
  port->Start(5, SomeRequest(), &listener);
  EXPECT_TRUE(listener.WaitEnd().ok());
  EXPECT_EQ(listener.seen.Get().ids, (std::vector<int32_t>{10, 11}));
  EXPECT_EQ(worker.seen.Get().requests[0].prompt_size(), 2);
}

TEST_F(AttentionStubTest, ARefusalComesThroughAsItIs) {
  worker.script = {.status = absl::InvalidArgumentError("token_ids[0] is 9; ...")};
  port->Start(5, SomeRequest(), &listener);
  EXPECT_EQ(listener.WaitEnd(), absl::InvalidArgumentError("token_ids[0] is 9; ..."));
}

TEST_F(AttentionStubTest, AWorkersOwnHintIsKept) {
  worker.script = {.status = WithRetryAfter(absl::UnavailableError("uncovered"), Milliseconds(77))};
  port->Start(5, SomeRequest(), &listener);
  const absl::Status end = listener.WaitEnd();
  EXPECT_EQ(RetryAfter(end), Milliseconds(77));
  EXPECT_THAT(std::string(end.message()), HasSubstr("uncovered"));
}

TEST_F(AttentionStubTest, AWorkerThatIsNotThereIsUnavailableWithAHint) {
  port = GrpcAttentionPorts()("a2", "127.0.0.1:1");
  port->Start(5, SomeRequest(), &listener);
  const absl::Status end = listener.WaitEnd();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryAfter(end).has_value());
  EXPECT_THAT(std::string(end.message()), HasSubstr("a2 (127.0.0.1:1)"));
}

TEST_F(AttentionStubTest, AStreamThatBreaksIsUnavailableWithAHint) {
  worker.script.messages.pop_back();
  worker.script.wait = true;
  port->Start(5, SomeRequest(), &listener);
  ASSERT_TRUE(listener.seen.WaitFor([](const Listener::Seen& seen) { return !seen.ids.empty(); }));
  server->Stop(Duration::zero());
  const absl::Status end = listener.WaitEnd();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable) << end;
  EXPECT_TRUE(RetryAfter(end).has_value());
}

TEST_F(AttentionStubTest, AnEndWithoutAFinishReasonIsAFault) {
  worker.script.messages.pop_back();
  port->Start(5, SomeRequest(), &listener);
  EXPECT_EQ(listener.WaitEnd().code(), absl::StatusCode::kInternal);
}

TEST_F(AttentionStubTest, NonsenseIsAFaultAndCancelsTheCall) {
  worker.script.messages[0].mutable_tokens(0)->set_id(-1);
  worker.script.wait = true;
  port->Start(5, SomeRequest(), &listener);
  const absl::Status end = listener.WaitEnd();
  EXPECT_EQ(end.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(end.message()), HasSubstr("nonsense"));
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.cancelled == 1; }));
}

TEST_F(AttentionStubTest, AnAnswerThatIsCompleteStaysGoodWhateverComesAfter) {
  worker.script.status = absl::UnavailableError("died right after");
  port->Start(5, SomeRequest(), &listener);
  EXPECT_TRUE(listener.WaitEnd().ok());
}

TEST_F(AttentionStubTest, CancelEndsTheRequestOnceAndTheWorkerHearsOfIt) {
  worker.script.wait = true;
  worker.script.messages.resize(1);  // not the last piece
  port->Start(5, SomeRequest(), &listener);
  ASSERT_TRUE(listener.seen.WaitFor([](const auto& seen) { return !seen.ids.empty(); }));
  port->Cancel(5);
  port->Cancel(5);
  port->Cancel(6);  // unknown
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.cancelled == 1; }));
  EXPECT_EQ(listener.WaitEnd().code(), absl::StatusCode::kCancelled);
  port.reset();  // waits until the call is gone
  EXPECT_EQ(listener.seen.Get().ends.size(), 1u);
}

TEST_F(AttentionStubTest, ACancelForgetsWhatIsToBeKeptAndADetachDoesNot) {
  worker.script.wait = true;
  worker.script.messages.clear();
  GenerateRequest request = SomeRequest();
  request.kept = KeptAnswer{{1, 7}, "", {}};
  port->Start(5, request, &listener);
  ASSERT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.requests.size() == 1; }));
  EXPECT_EQ(worker.seen.Get().requests[0].keep().low(), 7u);
  port->Detach(5);
  EXPECT_EQ(listener.WaitEnd().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.cancelled == 1; }));
  EXPECT_TRUE(worker.seen.Get().forgotten.empty());
  Listener second;
  port->Start(5, request, &second);
  ASSERT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.requests.size() == 2; }));
  port->Cancel(5);
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.forgotten.size() == 1; }));
  EXPECT_EQ(second.WaitEnd().code(), absl::StatusCode::kCancelled);
  port->Forget({{1, 9}, "a1", {}});
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.forgotten.size() == 2; }));
}

TEST_F(AttentionStubTest, TheRequestsDeadlineEndsIt) {
  worker.script.wait = true;
  worker.script.messages.clear();
  GenerateRequest request = SomeRequest();
  request.deadline = Now() + std::chrono::milliseconds(200);
  port->Start(5, request, &listener);
  EXPECT_EQ(listener.WaitEnd().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(AttentionStubTest, ItsDestructorEndsEverythingSilently) {
  worker.script.wait = true;
  worker.script.messages.clear();
  port->Start(5, SomeRequest(), &listener);
  ASSERT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.requests.size() == 1; }));
  port.reset();
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.cancelled == 1; }));
  EXPECT_TRUE(listener.seen.Get().ends.empty());
}

}  // namespace
}  // namespace expertmesh
