// Workers come, go and die while answers are made: none fails, and every bit is that of a quiet
// run. The client is a plain one: it does not help itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/integration/process_cluster.h"

namespace expertmesh {
namespace {

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr int kStreams = 4;
#ifdef __SANITIZE_ADDRESS__
constexpr int kTokens = 400;  // which take as long there
#else
constexpr int kTokens = 1200;
#endif

GenerateRequest RequestOf(int stream) {
  GenerateRequest request;
  request.prompt = {3, 1, 4, 1, 5, 9, 2, 6 + stream};
  request.max_tokens = kTokens;
  request.ignore_eos = request.logprobs = true;
  if (stream % 2 == 1) {
    request.sampling.temperature = 0.8f;
    request.sampling.seed = 7;
  }
  return request;
}

struct Stream {
  absl::Status status;
  Bits bits;
  Duration longest_gap{};  // between two pieces of the answer
};

class SurvivalTest : public testing::Test {
 protected:
  ProcessCluster cluster_{{.model = EXPERTMESH_SOURCE_DIR "/models/tiny",
                           .attention_workers = 2,
                           .expert_workers = 4,
                           .drain_ms = 10000}};

  Stream RunOne(int stream, std::atomic<int>* tokens) {
    Client client(cluster_.address());
    client.most_resumes = 0;
    Stream run;
    Time last = Now();
    run.status = client.Generate(AsUser(RequestOf(stream)), [&](const Delta& delta) {
      const Time now = Now();
      run.longest_gap = std::max(run.longest_gap, now - last);
      last = now;
      AddTo(run.bits, delta);
      if (tokens != nullptr) *tokens += static_cast<int>(delta.tokens.size());
    });
    return run;
  }

  // All streams at once; `event` happens when a few tokens of each have come, or so. Where it takes
  // time it must be over before the streams are, unless it waits for them.
  std::vector<Stream> RunAll(const std::function<void()>& event, bool waits = false) {
    std::vector<Stream> runs(kStreams);
    std::atomic<int> tokens{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kStreams; ++i) {
      threads.emplace_back([&, i] { runs[i] = RunOne(i, &tokens); });
    }
    for (const Time until = Now() + kPatience; tokens < 20 * kStreams && Now() < until;) {
      std::this_thread::sleep_for(Milliseconds(1));  // the streams' own pace
    }
    event();
    const int at_event = tokens;
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(waits || tokens > at_event) << "the event came too late to disturb anything";
    return runs;
  }

  void ExpectUndisturbed(const char* what, const std::function<void()>& event, bool waits = false) {
    static const std::vector<Stream> quiet = RunAll([] {});  // the same on any fleet
    const std::vector<Stream> runs = RunAll(event, waits);
    Duration longest{};
    for (int i = 0; i < kStreams; ++i) {
      EXPECT_TRUE(quiet[i].status.ok()) << quiet[i].status;
      EXPECT_TRUE(runs[i].status.ok()) << what << ": " << runs[i].status;
      EXPECT_EQ(runs[i].bits, quiet[i].bits) << what << ", stream " << i;
      longest = std::max(longest, runs[i].longest_gap);
    }
    std::printf("%s: longest stall %.0f ms\n", what,
                std::chrono::duration<double, std::milli>(longest).count());
  }

  void ExpectWhole() {
    const absl::Status whole = cluster_.client().WaitUntilWhole(kPatience);
    ASSERT_TRUE(whole.ok()) << whole;
  }
};

TEST_F(SurvivalTest, OfAKilledExpertWorkerWhoseExpertsOthersTakeOver) {
  ExpectUndisturbed("kill -9 of e2", [&] { cluster_.Kill("e2"); });
  ExpectWhole();
  cluster_.StartWorker("e2");  // it comes back empty, and is welcome
  ExpectUndisturbed("kill -9 of e1", [&] { cluster_.Kill("e1"); });
}

TEST_F(SurvivalTest, OfTwoKilledExpertWorkersAtOnce) {
  ExpectUndisturbed("kill -9 of e1 and e3", [&] {
    cluster_.Kill("e1");
    cluster_.Kill("e3");
  });
}

TEST_F(SurvivalTest, OfAStoppedExpertWorker) {
  ExpectUndisturbed("SIGSTOP of e1", [&] { cluster_.process("e1").Signal(SIGSTOP); });
  cluster_.process("e1").Signal(SIGCONT);
}

TEST_F(SurvivalTest, OfAKilledAttentionWorker) {
  ExpectUndisturbed("kill -9 of a1", [&] { cluster_.Kill("a1"); });
}

// The client library resumes, and so must have found the way to the new coordinator when it asks
// again: nobody else in this process waits on its channel in the meantime.
TEST_F(SurvivalTest, OfACoordinatorThatIsAwayForAWhile) {
  const Stream quiet = RunOne(1, nullptr);
  ASSERT_TRUE(quiet.status.ok()) << quiet.status;
  for (const int away_ms : {1200, 1800}) {
    Client client(cluster_.address());
    Bits bits;
    std::atomic<bool> begun = false;
    absl::Status status;
    std::thread asks([&] {
      status = client.Generate(AsUser(RequestOf(1)), [&](const Delta& delta) {
        AddTo(bits, delta);
        begun = begun || bits.ids.size() > 20;
      });
    });
    for (const Time until = Now() + kPatience; !begun && Now() < until;) {
      std::this_thread::sleep_for(Milliseconds(1));
    }
    cluster_.Kill("coordinator");
    std::this_thread::sleep_for(Milliseconds(away_ms));  // which is the fault itself
    cluster_.StartCoordinator();
    asks.join();
    EXPECT_TRUE(status.ok()) << "away for " << away_ms << " ms: " << status;
    EXPECT_EQ(bits, quiet.bits);
    ExpectWhole();
  }
}

TEST_F(SurvivalTest, OfExpertWorkersThatLeaveAndCome) {
  ExpectUndisturbed("drain of e1, then of e2, and two new ones", [&] {
    for (const char* name : {"e1", "e2"}) {
      cluster_.process(name).Signal(SIGTERM);
      EXPECT_EQ(cluster_.process(name).Wait(kPatience), 0) << cluster_.LogOf(name);
      EXPECT_THAT(cluster_.LogOf(name), testing::HasSubstr("drained"));
    }
    cluster_.StartWorker("e5");
    cluster_.StartWorker("e1");
  });
  ExpectWhole();
}

TEST_F(SurvivalTest, OfAnAttentionWorkerThatLeaves) {
  const auto drain = [&] {
    cluster_.process("a1").Signal(SIGTERM);
    EXPECT_EQ(cluster_.process("a1").Wait(kPatience), 0) << cluster_.LogOf("a1");
  };
  ExpectUndisturbed("drain of a1", drain, /*waits=*/true);  // it exits when its streams have ended
}

}  // namespace
}  // namespace expertmesh
