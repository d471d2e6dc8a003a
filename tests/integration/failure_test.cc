// What a fleet of processes does when one of them dies, stops or comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cluster/report.h"
#include "common/status.h"
#include "rpc/channel.h"
#include "rpc/convert_user.h"
#include "tests/integration/process_cluster.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr char kRoomForHalf[] = "1180000";  // bytes: 24 of 48 experts; nobody can take over

GenerateRequest LongRequest() {
  GenerateRequest request;
  request.prompt = {3, 1, 4, 1, 5, 9, 2, 6};
  request.max_tokens = 800;
  request.ignore_eos = request.logprobs = true;
  return request;
}

GenerateRequest ShortRequest() {
  GenerateRequest request = LongRequest();
  request.max_tokens = 24;
  return request;
}

class FailureTest : public testing::Test {
 protected:
  // What the fleet says is passed on: the client does not help itself.
  FailureTest() { cluster_.client().most_resumes = 0; }

  ProcessCluster cluster_{{.model = EXPERTMESH_SOURCE_DIR "/models/tiny",
                           .attention_workers = 1,
                           .expert_workers = 2,
                           .attention_flags = {"--coverage-wait-ms", "300"},
                           .expert_flags = {"--memory-bytes", kRoomForHalf},
                           .coordinator_flags = {"--drain-ms", "60000"}}};

  Bits Ask(const GenerateRequest& request) {
    Bits bits;
    const absl::Status status = cluster_.client().Generate(
        AsUser(request), [&](const Delta& delta) { AddTo(bits, delta); });
    EXPECT_TRUE(status.ok()) << status;
    return bits;
  }

  struct Broken {
    absl::Status status;
    Duration after{};  // from the fault to the end of the stream
    Bits bits;         // what came before
  };

  // Runs a long generation; does `fault` after its 20th token.
  Broken AskAndBreak(const std::function<void()>& fault) {
    Broken broken;
    Time at = kNever;
    broken.status = cluster_.client().Generate(AsUser(LongRequest()), [&](const Delta& delta) {
      AddTo(broken.bits, delta);
      if (at == kNever && broken.bits.ids.size() >= 20) {
        at = Now();
        fault();
      }
    });
    EXPECT_NE(at, kNever) << "the fault came too late";
    broken.after = Now() - at;
    return broken;
  }

  // No attention worker runs a sequence, soon.
  void ExpectIdle() {
    const auto running = [&] {
      auto fleet = cluster_.client().GetTopology();
      int count = 0;
      for (const auto& worker : fleet->workers()) count += worker.running_sequences();
      return count;
    };
    for (const Time until = Now() + kPatience; running() != 0 && Now() < until;) {
    }
    EXPECT_EQ(running(), 0);
  }

  // `experts` is what nobody holds any more. (Who held it stands there too, unless control's word
  // that the worker is gone came before the break of the channel.)
  void ExpectUnavailable(const Broken& broken, const std::string& experts, const Bits& right) {
    EXPECT_EQ(broken.status.code(), absl::StatusCode::kUnavailable) << broken.status;
    EXPECT_TRUE(RetryAfter(broken.status).has_value());
    EXPECT_THAT(std::string(broken.status.message()),
                HasSubstr("uncovered: layers 1-3: experts " + experts));
    // What came before the fault is right, token for token.
    ASSERT_LE(broken.bits.ids.size(), right.ids.size());
    EXPECT_TRUE(std::equal(broken.bits.ids.begin(), broken.bits.ids.end(), right.ids.begin()));
  }
};

TEST_F(FailureTest, AKilledExpertWorkerEndsItsRequestsAndComesBack) {
  const Bits right = Ask(LongRequest());
  const Broken broken = AskAndBreak([&] { cluster_.Kill("e2"); });
  ExpectUnavailable(broken, "8-15", right);
  EXPECT_LT(broken.after, std::chrono::seconds(2));
  std::printf("kill -9 of e2: UNAVAILABLE after %.0f ms: %s\n",
              std::chrono::duration<double, std::milli>(broken.after).count(),
              std::string(broken.status.message()).c_str());

  // The others live on, and refuse what nobody can serve.
  for (const char* name : {"coordinator", "a1", "e1"}) {
    EXPECT_TRUE(cluster_.process(name).running()) << name;
  }
  const absl::Status refused =
      cluster_.client().Generate(AsUser(ShortRequest()), [](const Delta&) {});
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("experts"));

  cluster_.StartWorker("e2");
  const absl::Status whole = cluster_.client().WaitUntilWhole(kPatience);
  ASSERT_TRUE(whole.ok()) << whole;
  EXPECT_EQ(Ask(LongRequest()), right);
}

TEST_F(FailureTest, AStoppedExpertWorkerIsLostWithinTheLivenessTimeout) {
  const Bits right = Ask(LongRequest());
  const Broken broken = AskAndBreak([&] { cluster_.process("e1").Signal(SIGSTOP); });
  ExpectUnavailable(broken, "0-7", right);
  EXPECT_LT(broken.after, std::chrono::seconds(3));
  std::printf("SIGSTOP of e1: UNAVAILABLE after %.0f ms\n",
              std::chrono::duration<double, std::milli>(broken.after).count());
  cluster_.process("e1").Signal(SIGCONT);
  // It lost its lease meanwhile, or not; either way it is the same life and holds the same experts.
  const absl::Status whole = cluster_.client().WaitUntilWhole(kPatience);
  ASSERT_TRUE(whole.ok()) << whole;
  Bits again;
  absl::Status status = absl::UnavailableError("not asked yet");
  for (const Time until = Now() + kPatience; absl::IsUnavailable(status) && Now() < until;) {
    again = Bits();
    status =
        cluster_.client().Generate(AsUser(LongRequest()), [&](const Delta& d) { AddTo(again, d); });
  }
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(again, right);
}

TEST_F(FailureTest, AKilledAttentionWorkerEndsItsStreamsWithUnavailable) {
  const Broken broken = AskAndBreak([&] { cluster_.Kill("a1"); });
  EXPECT_EQ(broken.status.code(), absl::StatusCode::kUnavailable) << broken.status;
  EXPECT_TRUE(RetryAfter(broken.status).has_value());
  cluster_.StartWorker("a1");
  ASSERT_TRUE(cluster_.client().WaitUntilWhole(kPatience).ok());
  EXPECT_EQ(Ask(ShortRequest()).ids.size(), 24u);
}

TEST_F(FailureTest, ARestartedCoordinatorFindsTheFleetAsItWas) {
  const Bits right = Ask(ShortRequest());
  cluster_.Kill("coordinator");
  cluster_.StartCoordinator();  // on the same port
  const absl::Status whole = cluster_.client().WaitUntilWhole(kPatience);
  ASSERT_TRUE(whole.ok()) << whole;
  EXPECT_EQ(Ask(ShortRequest()), right);
  // Nobody loaded anything again, and the new reign has a higher term.
  EXPECT_THAT(cluster_.LogOf("e1"), testing::Not(testing::ContainsRegex("loading.*loading")));
  auto fleet = cluster_.client().GetTopology();
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  EXPECT_GE(fleet->topology().epoch().term(), 2u);
}

TEST_F(FailureTest, ACoordinatorThatWasStoppedForLongerThanALeaseLosesNobody) {
  const Bits right = Ask(ShortRequest());
  const v1::Epoch before = cluster_.client().GetTopology()->topology().epoch();
  cluster_.process("coordinator").Signal(SIGSTOP);
  std::this_thread::sleep_for(kLease + Milliseconds(100));  // the pause is the fault itself
  cluster_.process("coordinator").Signal(SIGCONT);
  const absl::Status whole = cluster_.client().WaitUntilWhole(kPatience);
  ASSERT_TRUE(whole.ok()) << whole;
  EXPECT_EQ(Ask(ShortRequest()), right);
  const v1::Epoch after = cluster_.client().GetTopology()->topology().epoch();
  EXPECT_EQ(after.counter(), before.counter()) << cluster_.LogOf("coordinator");
  EXPECT_EQ(after.term(), before.term());
}

TEST_F(FailureTest, OfTwoLivesOfOneNameTheOlderIsFenced) {
  auto older = Process::Start("expertmesh-expert-worker",
                              {"--name", "spare", "--model", EXPERTMESH_SOURCE_DIR "/models/tiny",
                               "--coordinator", cluster_.address()},
                              testing::TempDir() + "/older.log");
  ASSERT_NE(older->ListeningAddress(kPatience), "");
  const auto listed = [&] {
    auto fleet = cluster_.client().GetTopology();
    return fleet.ok() && fleet->workers_size() == 4;
  };
  for (const Time until = Now() + kPatience; !listed() && Now() < until;) {
  }
  ASSERT_TRUE(listed());
  auto newer = Process::Start("expertmesh-expert-worker",
                              {"--name", "spare", "--model", EXPERTMESH_SOURCE_DIR "/models/tiny",
                               "--coordinator", cluster_.address()},
                              testing::TempDir() + "/newer.log");
  EXPECT_EQ(older->Wait(kPatience), 3);
  EXPECT_TRUE(newer->running());
  newer->Signal(SIGTERM);
  EXPECT_EQ(newer->Wait(kPatience), 0);
}

TEST_F(FailureTest, EveryProgramEndsCleanlyAtSigterm) {
  Ask(ShortRequest());
  for (const char* name : {"a1", "e1", "e2", "coordinator"}) {
    cluster_.process(name).Signal(SIGTERM);
    EXPECT_EQ(cluster_.process(name).Wait(kPatience), 0) << name << "\n" << cluster_.LogOf(name);
  }
}

TEST_F(FailureTest, ACoordinatorThatStopsLetsRequestsEndAndTakesNoNewOnes) {
  absl::Status late;
  const Broken whole = AskAndBreak([&] {
    cluster_.process("coordinator").Signal(SIGTERM);
    Client other(cluster_.address());
    other.most_resumes = 0;
    // Until the signal has been seen, requests may still be taken.
    for (const Time until = Now() + kPatience; late.ok() && Now() < until;) {
      late = other.Generate(AsUser(ShortRequest()), [](const Delta&) {});
    }
  });
  EXPECT_TRUE(whole.status.ok()) << whole.status;
  EXPECT_EQ(whole.bits.ids.size(), 800u);
  EXPECT_TRUE(absl::IsUnavailable(late) || absl::IsCancelled(late)) << late;
  EXPECT_EQ(cluster_.process("coordinator").Wait(kPatience), 0);
}

TEST_F(FailureTest, ADeadlineEndsAStreamAndFreesItsPlace) {
  GenerateRequest request = LongRequest();
  request.deadline = Now() + std::chrono::milliseconds(300);
  int tokens = 0;
  const absl::Status late = cluster_.client().Generate(AsUser(request), [&](const Delta& delta) {
    tokens += static_cast<int>(delta.tokens.size());
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(late) || tokens == 800) << late;
  ExpectIdle();
}

TEST_F(FailureTest, AClientThatGoesAwayFreesItsPlace) {
  auto stub = v1::Generation::NewStub(DialInsecure(cluster_.address()));
  grpc::ClientContext context;
  auto reader = stub->GenerateStream(&context, ToProto(AsUser(LongRequest())));
  v1::GenerateResponse reply;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(reader->Read(&reply));
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  ExpectIdle();
  EXPECT_EQ(Ask(ShortRequest()).ids.size(), 24u);
}

}  // namespace
}  // namespace expertmesh
