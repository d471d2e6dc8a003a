#include "rpc/control_link_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "expertmesh/v1/coordinator.grpc.pb.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

// Control as the test plays it: notes reports, sends what it is told to.
class ScriptedControl final : public v1::Coordinator::CallbackService {
 public:
  class Session;
  struct Seen {
    std::vector<v1::Report> reports;
    std::vector<Session*> open;
    int opened = 0;
  };

  class Session final : public grpc::ServerBidiReactor<v1::Report, v1::Command> {
   public:
    explicit Session(ScriptedControl* control) : control_(control) {
      StartSendInitialMetadata();
      StartRead(&report_);
    }
    void Send(const v1::Command& command) {
      command_ = command;
      StartWrite(&command_);
    }
    void End(const absl::Status& status) {
      if (!ended_.exchange(true)) Finish(ToGrpcStatus(status));
    }

   private:
    void OnReadDone(bool ok) override {
      if (!ok) return End(absl::OkStatus());
      control_->seen.Change([&](Seen& seen) { seen.reports.push_back(report_); });
      StartRead(&report_);
    }
    void OnCancel() override { End(absl::OkStatus()); }
    void OnDone() override {
      control_->seen.Change([&](Seen& seen) {
        seen.open.erase(std::find(seen.open.begin(), seen.open.end(), this));
      });
      delete this;
    }
    ScriptedControl* control_;
    v1::Report report_;
    v1::Command command_;
    std::atomic<bool> ended_{false};
  };

  grpc::ServerBidiReactor<v1::Report, v1::Command>* Join(grpc::CallbackServerContext*) override {
    auto* session = new Session(this);
    seen.Change([&](Seen& seen) {
      seen.open.push_back(session);
      ++seen.opened;
    });
    return session;
  }

  Session* WaitForSession(int opened) {
    EXPECT_TRUE(seen.WaitFor(
        [&](const Seen& seen) { return seen.opened == opened && seen.open.size() == 1; }));
    return seen.Get().open.at(0);
  }

  Watched<Seen> seen;
};

// A worker's session as the test watches it.
class Worker final : public ControlLinkListener {
 public:
  struct Seen {
    int up = 0;
    std::vector<Command> commands;
    std::vector<absl::Status> down;
  };
  void OnLinkUp() override {
    seen.Change([](Seen& seen) { ++seen.up; });
  }
  void OnCommand(Command command) override {
    seen.Change([&](Seen& seen) { seen.commands.push_back(std::move(command)); });
  }
  void OnLinkDown(absl::Status why) override {
    seen.Change([&](Seen& seen) { seen.down.push_back(std::move(why)); });
  }
  bool WaitUp(int n = 1) {
    return seen.WaitFor([n](const Seen& seen) { return seen.up == n; });
  }
  bool WaitDown(size_t n = 1) {
    return seen.WaitFor([n](const Seen& seen) { return seen.down.size() == n; });
  }
  Watched<Seen> seen;
};

constexpr ExpertGrid kGrid{0, 2, 4};

Report SomeReport(uint64_t number) {
  Report report;
  report.number = number;
  report.name = "e1";
  report.address = "127.0.0.1:4000";
  report.model.grid = kGrid;
  return report;
}

struct Fixture : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&control});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    link.emplace(server->address());
  }
  void TearDown() override {
    link.reset();
    server.reset();
  }
  ScriptedControl control;
  std::unique_ptr<RpcServer> server;
  Worker worker;
  std::optional<GrpcControlLink> link;
};

using ControlLinkTest = Fixture;

TEST_F(ControlLinkTest, CarriesReportsAndCommands) {
  link->Send(SomeReport(1));  // dropped: no link
  link->Connect(&worker);
  ASSERT_TRUE(worker.WaitUp());
  link->Send(SomeReport(2));
  ASSERT_TRUE(control.seen.WaitFor(
      [](const ScriptedControl::Seen& seen) { return seen.reports.size() == 1; }));
  EXPECT_EQ(control.seen.Get().reports[0].number(), 2u);
  v1::Command command;
  command.set_term(4);
  *command.mutable_assigned() = ToProto(ExpertSet::Full(kGrid));
  control.WaitForSession(1)->Send(command);
  ASSERT_TRUE(worker.seen.WaitFor([](const Worker::Seen& seen) { return !seen.commands.empty(); }));
  EXPECT_EQ(worker.seen.Get().commands[0].assigned, ExpertSet::Full(kGrid));
}

TEST_F(ControlLinkTest, TheNewestReportIsNeverLost) {
  link->Connect(&worker);
  ASSERT_TRUE(worker.WaitUp());
  constexpr uint64_t kLast = 2000;
  for (uint64_t n = 1; n <= kLast; ++n) link->Send(SomeReport(n));
  ASSERT_TRUE(control.seen.WaitFor([](const ScriptedControl::Seen& seen) {
    return !seen.reports.empty() && seen.reports.back().number() == kLast;
  }));
  uint64_t before = 0;
  for (const v1::Report& report : control.seen.Get().reports) {
    EXPECT_GT(report.number(), before);
    before = report.number();
  }
}

TEST_F(ControlLinkTest, GoesDownWithControlsReasonAndComesBack) {
  link->Connect(&worker);
  ASSERT_TRUE(worker.WaitUp());
  control.WaitForSession(1)->End(
      WithRetryAfter(absl::UnavailableError("control stops"), Milliseconds(70)));
  ASSERT_TRUE(worker.WaitDown());
  const absl::Status why = worker.seen.Get().down[0];
  EXPECT_EQ(why.message(), "control stops");
  EXPECT_EQ(RetryAfter(why), Milliseconds(70));
  link->Send(SomeReport(1));  // dropped
  link->Connect(&worker);
  EXPECT_TRUE(worker.WaitUp(2));
}

TEST_F(ControlLinkTest, GoesDownWhenNobodyListens) {
  link.emplace("127.0.0.1:1");
  link->Connect(&worker);
  ASSERT_TRUE(worker.WaitDown());
  EXPECT_EQ(worker.seen.Get().up, 0);
  EXPECT_EQ(worker.seen.Get().down[0].code(), absl::StatusCode::kUnavailable);
}

TEST_F(ControlLinkTest, ANewConnectLetsGoOfTheOldLinkSilently) {
  link->Connect(&worker);
  ASSERT_TRUE(worker.WaitUp());
  Worker second;
  link->Connect(&second);
  ASSERT_TRUE(second.WaitUp());
  control.WaitForSession(2);  // and the first is over
  EXPECT_TRUE(worker.seen.Get().down.empty());
}

TEST_F(ControlLinkTest, StopIsFinal) {
  link->Connect(&worker);
  ASSERT_TRUE(worker.WaitUp());
  link->Stop();
  link->Stop();
  EXPECT_TRUE(worker.seen.Get().down.empty());
  ASSERT_TRUE(
      control.seen.WaitFor([](const ScriptedControl::Seen& seen) { return seen.open.empty(); }));
  EXPECT_TRUE(worker.seen.Get().down.empty());
}

TEST_F(ControlLinkTest, ACommandThatCannotBeFollowedTakesTheLinkDown) {
  v1::Command unreadable;
  unreadable.set_lease_ms(-5);
  v1::Command foreign_set;
  *foreign_set.mutable_assigned() = ToProto(ExpertSet::Full(ExpertGrid{0, 2, 5}));
  v1::Command foreign_topology;
  *foreign_topology.mutable_topology()->mutable_model()->mutable_grid() =
      ToProto(ExpertSet(ExpertGrid{0, 3, 4})).grid();
  int links = 0;
  for (const v1::Command& command : {unreadable, foreign_set, foreign_topology}) {
    ++links;
    link->Connect(&worker);
    ASSERT_TRUE(worker.WaitUp(links));
    link->Send(SomeReport(links));
    control.WaitForSession(links)->Send(command);
    ASSERT_TRUE(worker.WaitDown(links));
    EXPECT_EQ(worker.seen.Get().down.back().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(worker.seen.Get().down.back().message()), HasSubstr("command"));
  }
  EXPECT_TRUE(worker.seen.Get().commands.empty());
}

}  // namespace
}  // namespace expertmesh
