// The operators' commands against fleets of real processes, while a stream runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/process_cluster.h"
#include "tests/integration/program.h"

namespace expertmesh {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kModel[] = EXPERTMESH_SOURCE_DIR "/models/tiny";  // layers 1-3 of 16 experts
constexpr Duration kPatience = std::chrono::seconds(30);

GenerateRequest LongRequest() {
  GenerateRequest request;
  request.prompt = {3, 1, 4, 1, 5, 9, 2, 6};
  request.max_tokens = 600;
  request.ignore_eos = request.logprobs = true;
  return request;
}

// A fleet, and the commands that are given to it.
struct Fleet {
  explicit Fleet(std::string server) : address(std::move(server)), client(address) {
    client.most_resumes = 0;  // what the fleet says is passed on
  }

  Outcome Command(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", address});
    return RunProgram(words);
  }
  // Ends well; its output.
  std::string Done(const std::vector<std::string>& words) const {
    const Outcome outcome = Command(words);
    EXPECT_EQ(outcome.code, 0) << words.front() << ": " << outcome.err;
    return outcome.out;
  }
  void ExpectRefused(const std::vector<std::string>& words, int code,
                     const std::string& why) const {
    const Outcome outcome = Command(words);
    EXPECT_EQ(outcome.code, code) << words.front() << " " << outcome.out;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr(why));
  }
  v1::GetTopologyResponse Topology() {
    auto fleet = client.GetTopology();
    EXPECT_TRUE(fleet.ok()) << fleet.status();
    return fleet.ok() ? *fleet : v1::GetTopologyResponse();
  }
  v1::WorkerListing Worker(const std::string& name) {
    const v1::GetTopologyResponse fleet = Topology();
    for (const v1::WorkerListing& worker : fleet.workers()) {
      if (worker.name() == name) return worker;
    }
    return {};
  }
  // Whether this comes true before long.
  bool Comes(const std::function<bool(const v1::GetTopologyResponse&)>& condition) {
    const Time until = Now() + kPatience;
    while (!condition(Topology())) {
      if (Now() >= until) return false;
      std::this_thread::sleep_for(Milliseconds(20));
    }
    return true;
  }
  // It has some share of the experts, and nothing is moved any more.
  bool HasItsShare(const std::string& name) {
    return Comes([&](const v1::GetTopologyResponse& fleet) {
      return !fleet.moving() && Worker(name).holds_experts() > 0;
    });
  }
  bool Holds(const std::string& name, int64_t experts) {
    return Comes([&](const auto&) {
      const v1::WorkerListing worker = Worker(name);
      return worker.holds_experts() == experts && worker.assigned_experts() == experts;
    });
  }

  Bits Ask() {
    return AskAnd([] {});
  }
  // A long answer, and meanwhile, after its 20th token, `event`: on a thread of its own.
  Bits AskAnd(const std::function<void()>& event) {
    Bits bits;
    std::thread other;
    const absl::Status status = client.Generate(AsUser(LongRequest()), [&](const Delta& delta) {
      AddTo(bits, delta);
      if (bits.ids.size() >= 20 && !other.joinable()) other = std::thread(event);
    });
    EXPECT_TRUE(status.ok()) << status;
    if (other.joinable()) other.join();
    return bits;
  }

  std::string address;
  Client client;
};

// Bit i of what it holds: layer by layer, from the first that has experts.
bool HoldsExpert(const v1::WorkerListing& worker, size_t i) {
  const std::string& bits = worker.holds().bits();
  return i / 8 < bits.size() && (bits[i / 8] >> (i % 8) & 1) != 0;
}

class OperatorsTest : public testing::Test {
 protected:
  ProcessCluster cluster_{
      {.model = kModel, .attention_workers = 1, .expert_workers = 3, .drain_ms = 10000}};
  Fleet fleet_{cluster_.address()};
};

TEST_F(OperatorsTest, ADrainWhileAStreamRunsIsNotNoticedAndTheProcessEndsWell) {
  const Bits right = fleet_.Ask();
  Outcome drain;
  const Bits drained = fleet_.AskAnd([&] {
    drain = fleet_.Command({"drain", "e2", "--wait", "30"});
  });
  EXPECT_EQ(drained, right);
  EXPECT_EQ(drain.code, 0) << drain.err;
  EXPECT_EQ(drain.out, "e2 is GONE\n");
  EXPECT_EQ(cluster_.process("e2").Wait(kPatience), 0);
  EXPECT_EQ(fleet_.Worker("e2").state(), v1::WORKER_STATE_GONE);
  const std::string topology = fleet_.Done({"topology"});
  EXPECT_THAT(topology, AllOf(HasSubstr("GONE"), HasSubstr("whole: every expert is covered")));
  EXPECT_EQ(fleet_.Ask(), right);
  EXPECT_THAT(fleet_.Done({"drain", "e2"}), "e2 is GONE already\n");

  // An attention worker that is the only one, and has nothing to do.
  EXPECT_EQ(fleet_.Done({"drain", "a1", "--wait", "30"}), "a1 is GONE\n");
  EXPECT_EQ(cluster_.process("a1").Wait(kPatience), 0);
}

TEST_F(OperatorsTest, APlanIsADryRun) {
  const v1::GetTopologyResponse before = fleet_.Topology();
  const std::string text = fleet_.Done({"plan", "--drain", "e2"});
  EXPECT_THAT(text, AllOf(HasSubstr("round 1, to cover"), HasSubstr("e1 loads 8 experts"),
                          HasSubstr("e3 loads 8 experts"), HasSubstr("e2 unloads 16 experts"),
                          HasSubstr("1 round, 16 experts are loaded"), HasSubstr("NOW")));
  EXPECT_THAT(fleet_.Done({"plan"}), HasSubstr("nothing is moved\n"));
  const json plan = json::parse(fleet_.Done({"plan", "--drain", "e2", "--json"}));
  EXPECT_EQ(plan["plan"]["rounds"].size(), 1u);
  EXPECT_FALSE(plan.contains("held_up"));
  const v1::GetTopologyResponse after = fleet_.Topology();
  EXPECT_EQ(after.topology().SerializeAsString(), before.topology().SerializeAsString());
  EXPECT_EQ(after.rounds(), before.rounds());
  EXPECT_FALSE(after.moving());
  for (int i = 0; i < after.workers_size(); ++i) {
    EXPECT_EQ(after.workers(i).assigned().bits(), before.workers(i).assigned().bits());
    EXPECT_FALSE(after.workers(i).has_orders());
  }
}

TEST_F(OperatorsTest, ACordonedNewcomerGetsNothingUntilItMay) {
  EXPECT_THAT(fleet_.Done({"cordon", "e4"}), HasSubstr("its orders wait for it"));
  cluster_.StartWorker("e4");
  ASSERT_TRUE(fleet_.Comes(
      [&](const auto&) { return fleet_.Worker("e4").state() == v1::WORKER_STATE_JOINING; }));
  EXPECT_THAT(fleet_.Done({"topology"}), HasSubstr("cordoned"));
  EXPECT_THAT(fleet_.Done({"rebalance"}), HasSubstr("nothing is moved"));
  EXPECT_EQ(fleet_.Worker("e4").assigned_experts(), 0);
  const json order = json::parse(fleet_.Done({"cordon", "e4", "--undo", "--json"}));
  EXPECT_EQ(order["state"], "WORKER_STATE_JOINING");
  const Bits right = fleet_.Ask();
  EXPECT_EQ(fleet_.AskAnd([&] { fleet_.Done({"rebalance"}); }), right);
  EXPECT_TRUE(fleet_.HasItsShare("e4"));
}

TEST_F(OperatorsTest, APinIsCarriedOut) {
  EXPECT_FALSE(HoldsExpert(fleet_.Worker("e3"), 0));
  EXPECT_THAT(fleet_.Done({"pin", "e3", "--experts", "1:0,2:14-15"}),
              "pinned to e3: layer 1: experts 0; layer 2: experts 14-15\n");
  EXPECT_TRUE(fleet_.Comes([&](const auto&) { return HoldsExpert(fleet_.Worker("e3"), 0); }));
  EXPECT_EQ(fleet_.Done({"pin", "e3", "--undo"}), "nothing is pinned to e3\n");
}

TEST_F(OperatorsTest, AWatchTellsWhatHappensAndEndsWithCtrlC) {
  const std::string log = testing::TempDir() + "/watch.err";
  auto lines =
      Process::Start("expertmesh", {"topology", "--watch", "--server", fleet_.address}, log);
  auto objects = Process::Start("expertmesh",
                                {"topology", "--watch", "--json", "--server", fleet_.address}, log);
  const auto reads = [](Process& watch, const std::function<bool(const std::string&)>& wanted) {
    while (auto line = watch.ReadLine(kPatience)) {
      if (wanted(*line)) return true;
    }
    return false;
  };
  EXPECT_TRUE(reads(*lines, [](const auto& line) { return absl::StartsWith(line, "e3  READY"); }));
  EXPECT_TRUE(
      reads(*objects, [](const auto& line) { return json::parse(line)["workers"].size() == 4; }));
  fleet_.Done({"cordon", "e2"});
  EXPECT_TRUE(reads(
      *lines, [](const auto& line) { return absl::StartsWith(line, "e2  READY  cordoned"); }));
  fleet_.Done({"drain", "e3", "--wait", "30"});  // how it drains may be over between two looks
  EXPECT_TRUE(reads(*lines, [](const auto& line) { return absl::StartsWith(line, "e3  GONE"); }));
  EXPECT_TRUE(reads(*objects, [](const auto& line) {
    return json::parse(line)["workers"][3]["state"] == "WORKER_STATE_GONE";
  }));
  for (Process* watch : {lines.get(), objects.get()}) {
    EXPECT_TRUE(watch->running());
    watch->Signal(SIGINT);
    EXPECT_EQ(watch->Wait(kPatience), 0);
  }
}

TEST_F(OperatorsTest, AFreezeIsEndedByThaw) {
  for (const char* name : {"e1", "e2"}) cluster_.Kill(name);
  ASSERT_TRUE(fleet_.Comes([](const auto& fleet) { return fleet.has_frozen(); }));
  EXPECT_THAT(fleet_.Done({"topology"}), HasSubstr("frozen: control waits for 3 workers"));
  fleet_.ExpectRefused({"rebalance"}, 1, "FAILED_PRECONDITION: placement is frozen");
  EXPECT_THAT(fleet_.Done({"plan"}), HasSubstr("not carried out now: control waits for 3 workers"));
  EXPECT_EQ(fleet_.Done({"thaw"}), "placement goes on\n");
  EXPECT_TRUE(fleet_.Holds("e3", 48));
  EXPECT_EQ(fleet_.Done({"thaw"}), "nothing was frozen\n");
}

TEST_F(OperatorsTest, WhatIsWrongIsRefusedByName) {
  fleet_.ExpectRefused({"cordon", "e 1"}, 1, "INVALID_ARGUMENT: name has a character (code 32)");
  fleet_.ExpectRefused({"drain", "e9"}, 1, "NOT_FOUND: no worker e9 is known");
  fleet_.ExpectRefused({"plan", "--drain", "e1,e9"}, 1, "NOT_FOUND: drain has e9");
  fleet_.ExpectRefused({"pin", "e1", "--experts", "9:0"}, 1,
                       "--experts: \"9:0\" is outside the model: it has layers 1 to 3");
  fleet_.ExpectRefused({"pin", "e1", "--experts", "1:16"}, 1, "experts 0 to 15");
  fleet_.ExpectRefused({"pin", "a1", "--experts", "1:1"}, 1, "a1 is an attention worker");
  fleet_.ExpectRefused({"scale", "--experts", "4"}, 1, "this coordinator starts no workers");
  fleet_.ExpectRefused({"pin", "e1"}, 2, "");
  fleet_.ExpectRefused({"drain", "e1", "--undo", "--wait", "3"}, 2, "");
  fleet_.ExpectRefused({"scale", "--experts", "0"}, 2, "");
  EXPECT_FALSE(fleet_.Worker("e1").has_orders());
}

// Where nobody has room for what it holds, a worker stays, and the command says why.
TEST(Operators, ADrainThatCannotBeCarriedOutSaysWhatKeepsIt) {
  constexpr char kRoomForHalf[] = "1180000";  // bytes: 24 of 48 experts
  ProcessCluster cluster(
      {.model = kModel, .expert_workers = 2, .expert_flags = {"--memory-bytes", kRoomForHalf}});
  Fleet fleet(cluster.address());
  const Outcome drain = fleet.Command({"drain", "e1", "--wait", "0.5"});
  EXPECT_EQ(drain.code, 1);
  EXPECT_THAT(drain.err,
              AllOf(HasSubstr("DEADLINE_EXCEEDED: e1 is DRAINING; it holds 24 experts"),
                    HasSubstr("24 of them nobody else has"), HasSubstr("(the order stands)")));
  EXPECT_EQ(fleet.Done({"drain", "e1", "--undo"}), "e1 stays\n");
  EXPECT_TRUE(fleet.Comes(
      [&](const auto&) { return fleet.Worker("e1").state() == v1::WORKER_STATE_READY; }));
}

TEST(Operators, ServeScalesItsExpertWorkersWhileAStreamRuns) {
  auto serve = Process::Start("expertmesh",
                              {"serve", "--model", kModel, "--listen", "127.0.0.1:0",
                               "--expert-workers", "2", "--threads", "1"},
                              testing::TempDir() + "/serve.err");
  Fleet fleet(serve->ListeningAddress(kPatience));
  ASSERT_TRUE(fleet.client.WaitUntilWhole(kPatience).ok());
  const Bits right = fleet.Ask();
  EXPECT_EQ(fleet.AskAnd([&] {
    EXPECT_EQ(fleet.Done({"scale", "--experts", "4"}), "started: e3, e4\n");
  }),
            right);
  EXPECT_TRUE(fleet.HasItsShare("e4"));
  EXPECT_EQ(fleet.Done({"scale", "--experts", "4"}), "there are 4 already\n");
  EXPECT_EQ(fleet.AskAnd([&] {
    EXPECT_EQ(fleet.Done({"scale", "--experts", "1"}), "hand over what they have: e4, e3, e2\n");
  }),
            right);
  EXPECT_TRUE(fleet.Holds("e1", 48));
  EXPECT_TRUE(fleet.Comes(
      [&](const auto&) { return fleet.Worker("e2").state() == v1::WORKER_STATE_GONE; }));
  EXPECT_EQ(fleet.Done({"scale", "--experts", "2"}), "started: e5\n");
  EXPECT_EQ(fleet.Ask(), right);
  // A drain by an operator's order counts as well, and ends that worker alone.
  fleet.Done({"drain", "e5", "--wait", "30"});
  EXPECT_EQ(fleet.Done({"scale", "--experts", "1"}), "there are 1 already\n");
  EXPECT_TRUE(serve->running());
  serve->Signal(SIGTERM);
  EXPECT_EQ(serve->Wait(kPatience), 0);
}

}  // namespace
}  // namespace expertmesh
