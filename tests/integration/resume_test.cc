// Calls that break, and come back for the rest: what was made meanwhile is there, and every bit is
// that of an unbroken answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/status.h"
#include "rpc/channel.h"
#include "rpc/convert_generation.h"
#include "rpc/convert_user.h"
#include "tests/integration/process_cluster.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr int kTokens = 600;

UserRequest Long() {
  GenerateRequest request;
  request.prompt = {3, 1, 4, 1, 5, 9, 2, 6};
  request.max_tokens = kTokens;
  request.ignore_eos = request.logprobs = true;
  request.sampling.temperature = 0.8f;
  request.sampling.seed = 7;
  return AsUser(request);
}

class ResumeTest : public testing::Test {
 protected:
  ProcessCluster cluster_{
      {.model = EXPERTMESH_SOURCE_DIR "/models/tiny", .attention_workers = 2, .expert_workers = 2}};

  Bits Quiet() {
    Bits bits;
    const absl::Status status =
        cluster_.client().Generate(Long(), [&](const Delta& delta) { AddTo(bits, delta); });
    EXPECT_TRUE(status.ok()) << status;
    return bits;
  }
  std::string LogsOfAttention() { return cluster_.LogOf("a1") + cluster_.LogOf("a2"); }

  // One call without the library's help, that is cut after a few pieces. The last resume token.
  std::string Break(UserRequest request, Bits& bits) {
    auto stub = v1::Generation::NewStub(DialInsecure(cluster_.address()));
    grpc::ClientContext context;
    auto reader = stub->GenerateStream(&context, ToProto(request));
    v1::GenerateResponse reply;
    std::string token;
    for (int i = 0; i < 5 && reader->Read(&reply); ++i) {
      if (reply.has_resume_token()) token = reply.resume_token();
      AddTo(bits, *FromProto(reply));
    }
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
    return token;
  }
  int Running() {
    int running = 0;
    const auto fleet = cluster_.client().GetTopology();
    for (const auto& worker : fleet->workers()) {
      running += static_cast<int>(worker.running_sequences());
    }
    return running;
  }
  bool BecomesIdle() {
    for (const Time until = Now() + kPatience; Now() < until;) {
      if (Running() == 0) return true;
      std::this_thread::sleep_for(Milliseconds(20));
    }
    return false;
  }
};

TEST_F(ResumeTest, ARestartedCoordinatorLeadsToTheAnswerThatWasMadeMeanwhile) {
  const Bits right = Quiet();
  Bits bits;
  std::atomic<int> tokens{0};
  std::thread call([&] {
    Client client(cluster_.address());
    client.most_resumes = 60;
    const absl::Status status = client.Generate(Long(), [&](const Delta& delta) {
      AddTo(bits, delta);
      tokens += static_cast<int>(delta.tokens.size());
    });
    EXPECT_TRUE(status.ok()) << status;
  });
  while (tokens < 20) std::this_thread::sleep_for(Milliseconds(1));
  cluster_.Kill("coordinator");
  cluster_.StartCoordinator();
  call.join();
  EXPECT_EQ(bits, right);
  EXPECT_THAT(LogsOfAttention(), HasSubstr("is asked for again"));
}

TEST_F(ResumeTest, AKeptAnswerIsThereForWhoeverHasItsToken) {
  const Bits right = Quiet();
  UserRequest request = Long();
  request.keep = true;
  Bits bits;
  const std::string token = Break(request, bits);
  ASSERT_FALSE(token.empty());
  EXPECT_TRUE(BecomesIdle()) << "64 tokens ahead it stops";
  request.resume = ResumePoint{bits.ids, 0, *FromResumeToken(token)};
  const absl::Status status =
      cluster_.client().Generate(request, [&](const Delta& delta) { AddTo(bits, delta); });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(bits, right);
  EXPECT_THAT(LogsOfAttention(), HasSubstr("is asked for again"));
}

TEST_F(ResumeTest, AnAbortedAnswerIsKeptNoLonger) {
  const Bits right = Quiet();
  UserRequest request = Long();
  request.keep = true;
  Bits bits;
  const std::string token = Break(request, bits);
  auto stub = v1::Generation::NewStub(DialInsecure(cluster_.address()));
  grpc::ClientContext context;
  v1::AbortRequest abort;
  abort.set_resume_token(token);
  v1::AbortResponse aborted;
  EXPECT_TRUE(stub->Abort(&context, abort, &aborted).ok());
  EXPECT_TRUE(BecomesIdle());
  request.resume = ResumePoint{bits.ids, 0, *FromResumeToken(token)};
  const absl::Status status =
      cluster_.client().Generate(request, [&](const Delta& delta) { AddTo(bits, delta); });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(bits, right) << "made again";
  EXPECT_THAT(LogsOfAttention(), Not(HasSubstr("is asked for again")));
}

}  // namespace
}  // namespace expertmesh
