// The users' API over the service alone: the fleet behind the front door's text half is a fake.
#include "coordinator/service/generation_service.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "common/version.h"
#include "coordinator/text/test_model.h"
#include "rpc/channel.h"
#include "rpc/raw_message.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct GenerationTest : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&service});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::Generation::NewStub(DialInsecure(server->address()));
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    request.set_text("hi");
    request.mutable_stopping()->set_max_tokens(3);
    request.mutable_sampling()->set_seed(7);
  }
  void TearDown() override { door.Stop(); }

  static Delta Piece(absl::string_view text, FinishReason finish = FinishReason::kNone) {
    Delta delta;
    for (int32_t id : IdsOf(text)) delta.tokens.push_back({id, -0.5f, {}});
    delta.finish = finish;
    if (finish != FinishReason::kNone) delta.usage = {3, 3};
    return delta;
  }

  FakePort port;
  RequestId last_id = 100;
  TextDoor door{{}, std::make_shared<ByteModel>(), &port, [this] { return ++last_id; }};
  FleetListing fleet;
  prometheus::Registry registry;
  GenerationMetrics metrics{&registry};
  GenerationGrpcService service{&door, [this] { return fleet; }, &metrics};
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<v1::Generation::Stub> stub;
  grpc::ClientContext context;
  v1::GenerateRequest request;
};

TEST_F(GenerationTest, FirstAndLastMessagesSayWhatTheCommentsPromise) {
  request.set_request_id("mine");
  auto reader = stub->GenerateStream(&context, request);
  const RequestId id = port.WaitForStart();
  port.Deliver(id, Piece("a"));
  v1::GenerateResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.prompt_tokens(), 3) << "one begins the text";
  EXPECT_EQ(response.seed(), 7u);
  EXPECT_EQ(response.request_id(), "mine");
  EXPECT_EQ(response.tokens(0).id(), 'a');
  EXPECT_EQ(response.text(), "a");
  EXPECT_FALSE(response.tokens(0).has_logprob()) << "not asked for";
  EXPECT_FALSE(response.has_finish_reason());

  port.Deliver(id, Piece("b", FinishReason::kLength));
  port.End(id, absl::OkStatus());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_FALSE(response.has_prompt_tokens());
  EXPECT_FALSE(response.has_request_id());
  EXPECT_EQ(response.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(response.usage().output_tokens(), 3);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GenerationTest, AUnaryCallGetsTheWholeAnswer) {
  v1::GenerateResult result;
  grpc::Status status;
  std::thread call([&] { status = stub->Generate(&context, request, &result); });
  const RequestId id = port.WaitForStart();
  port.Deliver(id, Piece("a"));
  port.Deliver(id, Piece("b", FinishReason::kLength));
  port.End(id, absl::OkStatus());
  call.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(result.choices_size(), 1);
  EXPECT_EQ(result.choices(0).text(), "ab");
  EXPECT_EQ(result.seed(), 7u);
  EXPECT_EQ(result.usage().prompt_tokens(), 3);
}

TEST_F(GenerationTest, AUnaryAnswerThatFitsNoMessageEndsByName) {
  v1::GenerateResult result;
  grpc::Status status;
  std::thread call([&] { status = stub->Generate(&context, request, &result); });
  const RequestId id = port.WaitForStart();
  for (int i = 0; i < 5; ++i) port.Deliver(id, Piece(std::string(200'000, 'x')));
  EXPECT_TRUE(port.WaitForCancel(id));
  port.End(id, absl::CancelledError("cancelled"));
  call.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("the streaming call"));
}

TEST_F(GenerationTest, AUnaryCallerThatGoesAwayCancels) {
  v1::GenerateResult result;
  grpc::Status status;
  std::thread call([&] { status = stub->Generate(&context, request, &result); });
  const RequestId id = port.WaitForStart();
  context.TryCancel();
  EXPECT_TRUE(port.WaitForCancel(id));
  port.End(id, absl::CancelledError("cancelled"));
  call.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(GenerationTest, ABadRequestIsRefusedBeforeAnyWork) {
  request.mutable_sampling()->set_temperature(-1);
  auto reader = stub->GenerateStream(&context, request);
  v1::GenerateResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("temperature is -1"));
  EXPECT_TRUE(port.asked.Get().order.empty());
}

// What gRPC would end with UNIMPLEMENTED and no word.
TEST_F(GenerationTest, BytesThatAreNoRequestGetAReason) {
  v1::GenerateRequest good;
  good.set_text("xyz");
  std::string bytes = good.SerializeAsString();
  bytes[bytes.size() - 1] = '\xFF';  // no UTF-8
  for (auto [bad, why] : {std::pair(bytes, "text is not valid UTF-8 at byte 2"),
                          std::pair(std::string("\x5A\xFF"), "cut short")}) {
    for (const char* method : {"GenerateStream", "Generate", "Tokenize"}) {
      grpc::ClientContext once;
      once.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      grpc::Slice slice(bad);
      grpc::ByteBuffer sent(&slice, 1), answer;
      grpc::GenericStub generic(DialInsecure(server->address()));
      std::promise<grpc::Status> done;
      generic.UnaryCall(&once, std::string("/expertmesh.v1.Generation/") + method, {}, &sent,
                        &answer, [&](grpc::Status status) { done.set_value(std::move(status)); });
      const grpc::Status status = done.get_future().get();
      // The bytes of a prompt's text are another field of TokenizeRequest: unknown, and legal.
      if (bad == bytes && std::string(method) == "Tokenize") continue;
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
      EXPECT_THAT(status.error_message(), HasSubstr(why)) << method;
    }
  }
}

TEST_F(GenerationTest, TokenizesAndDetokenizes) {
  v1::TokenizeRequest text;
  text.set_text("hi");
  v1::TokenizeResponse ids;
  ASSERT_TRUE(stub->Tokenize(&context, text, &ids).ok());
  EXPECT_THAT(ids.token_ids(), ElementsAre(256, 'h', 'i'));
  grpc::ClientContext second, third;
  text.set_special_tokens(false);
  ASSERT_TRUE(stub->Tokenize(&second, text, &ids).ok());
  EXPECT_THAT(ids.token_ids(), ElementsAre('h', 'i'));
  v1::DetokenizeRequest back;
  *back.mutable_token_ids() = ids.token_ids();
  v1::DetokenizeResponse again;
  ASSERT_TRUE(stub->Detokenize(&third, back, &again).ok());
  EXPECT_EQ(again.text(), "hi");
  grpc::ClientContext fourth, fifth;
  const grpc::Status unset = stub->Tokenize(&fourth, {}, &ids);
  EXPECT_EQ(unset.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(unset.error_message(), HasSubstr("text is not set"));
  text.set_text("");
  EXPECT_TRUE(stub->Tokenize(&fifth, text, &ids).ok()) << "an empty text is one";
}

TEST_F(GenerationTest, AbortsByName) {
  request.set_request_id("mine");
  auto reader = stub->GenerateStream(&context, request);
  const RequestId id = port.WaitForStart();
  v1::AbortRequest abort;
  v1::AbortResponse aborted;
  grpc::ClientContext empty, named;
  EXPECT_EQ(stub->Abort(&empty, abort, &aborted).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  abort.set_request_id("mine");
  ASSERT_TRUE(stub->Abort(&named, abort, &aborted).ok());
  EXPECT_EQ(aborted.aborted(), 1);
  EXPECT_TRUE(port.WaitForCancel(id));
  port.End(id, absl::CancelledError("aborted"));
  v1::GenerateResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(GenerationTest, SaysWhatIsServed) {
  WorkerListing worker;
  worker.report.role = WorkerRole::kAttention;
  worker.report.vocabulary = 300;
  worker.report.max_context = 64;
  worker.state = WorkerState::kReady;
  fleet.workers = {worker};
  fleet.missing = "an expert";
  v1::ListModelsResponse models;
  ASSERT_TRUE(stub->ListModels(&context, {}, &models).ok());
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).name(), "bytes");
  EXPECT_TRUE(models.models(0).text());
  EXPECT_EQ(models.models(0).max_context(), 64);
  grpc::ClientContext second;
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(stub->GetServerInfo(&second, {}, &info).ok());
  EXPECT_EQ(info.version(), Version());
  EXPECT_EQ(info.missing(), "an expert");
  EXPECT_EQ(info.running_requests(), 0);
}

}  // namespace
}  // namespace expertmesh
