#include "coordinator/service/coordinator_service.h"

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <optional>

#include "common/status.h"
#include "rpc/control_link_client.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/test_support.h"

namespace expertmesh {
namespace {

// Control as the test watches it.
class Control final : public ControlServerListener {
 public:
  struct Seen {
    std::map<LinkId, Link> open;
    std::vector<std::pair<LinkId, uint64_t>> reports;
    std::vector<LinkId> closed;
  };
  void OnLinkOpened(LinkId id, Link link) override {
    if (on_open) on_open(link);
    seen.Change([&](Seen& seen) { seen.open[id] = link; });
  }
  void OnReport(LinkId id, Report report) override {
    seen.Change([&](Seen& seen) {
      EXPECT_EQ(seen.open.count(id), 1u);
      seen.reports.emplace_back(id, report.number);
    });
  }
  void OnLinkClosed(LinkId id) override {
    seen.Change([&](Seen& seen) {
      EXPECT_EQ(seen.open.erase(id), 1u);
      seen.closed.push_back(id);
    });
  }
  Link WaitLink(LinkId id) {
    EXPECT_TRUE(seen.WaitFor([id](const Seen& seen) { return seen.open.count(id) == 1; }));
    return seen.Get().open[id];
  }
  bool WaitClosed(size_t n) {
    return seen.WaitFor([n](const Seen& seen) { return seen.closed.size() == n; });
  }
  std::function<void(Link)> on_open;
  Watched<Seen> seen;
};

class Worker final : public ControlLinkListener {
 public:
  struct Seen {
    bool up = false;
    std::vector<Command> commands;
    std::optional<absl::Status> down;
  };
  void OnLinkUp() override {
    seen.Change([](Seen& seen) { seen.up = true; });
  }
  void OnCommand(Command command) override {
    seen.Change([&](Seen& seen) { seen.commands.push_back(std::move(command)); });
  }
  void OnLinkDown(absl::Status why) override {
    seen.Change([&](Seen& seen) { seen.down = std::move(why); });
  }
  absl::Status WaitDown() {
    EXPECT_TRUE(seen.WaitFor([](const Seen& seen) { return seen.down.has_value(); }));
    return seen.Get().down.value_or(absl::OkStatus());
  }
  Watched<Seen> seen;
};

Report SomeReport(uint64_t number) {
  Report report;
  report.number = number;
  report.name = "e1";
  report.address = "127.0.0.1:4000";
  return report;
}

struct CoordinatorServiceTest : ::testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&service});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    link.emplace(server->address());
  }
  void TearDown() override {
    link.reset();
    server.reset();
    EXPECT_TRUE(control.seen.Get().open.empty());
  }
  Control control;
  CoordinatorGrpcService service{&control};
  std::unique_ptr<RpcServer> server;
  Worker worker;
  std::optional<GrpcControlLink> link;
};

TEST_F(CoordinatorServiceTest, CarriesReportsAndCommands) {
  link->Connect(&worker);
  ASSERT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.up; }));
  link->Send(SomeReport(1));
  ASSERT_TRUE(control.seen.WaitFor([](const auto& seen) { return seen.reports.size() == 1; }));
  Command command;
  command.number = 17;
  control.WaitLink(1).send(command);
  ASSERT_TRUE(worker.seen.WaitFor([](const auto& seen) { return seen.commands.size() == 1; }));
  EXPECT_EQ(worker.seen.Get().commands[0].number, 17u);
}

TEST_F(CoordinatorServiceTest, TheNewestCommandIsNeverLost) {
  link->Connect(&worker);
  const ControlServerListener::Link to_worker = control.WaitLink(1);
  Command command;
  for (command.number = 1; command.number < 2000; ++command.number) to_worker.send(command);
  to_worker.send(command);
  EXPECT_TRUE(worker.seen.WaitFor([](const auto& seen) {
    return !seen.commands.empty() && seen.commands.back().number == 2000;
  }));
}

TEST_F(CoordinatorServiceTest, TheLastCommandBeforeCloseArrives) {
  link->Connect(&worker);
  const ControlServerListener::Link to_worker = control.WaitLink(1);
  Command fenced;
  fenced.fenced = "a newer life has the name";
  to_worker.send(fenced);
  to_worker.close();
  to_worker.close();
  EXPECT_EQ(worker.WaitDown().code(), absl::StatusCode::kUnavailable);
  ASSERT_EQ(worker.seen.Get().commands.size(), 1u);
  EXPECT_EQ(worker.seen.Get().commands[0].fenced, fenced.fenced);
  EXPECT_TRUE(control.WaitClosed(1));
  to_worker.send(fenced);  // late: harmless
  to_worker.close();
}

TEST_F(CoordinatorServiceTest, ALinkMayBeClosedWhileItOpens) {
  control.on_open = [](ControlServerListener::Link to_worker) {
    to_worker.send(Command());
    to_worker.close();
  };
  link->Connect(&worker);
  EXPECT_FALSE(worker.WaitDown().ok());
  EXPECT_TRUE(control.WaitClosed(1));
}

TEST_F(CoordinatorServiceTest, AWorkerThatGoesIsTold) {
  link->Connect(&worker);
  control.WaitLink(1);
  link->Stop();
  EXPECT_TRUE(control.WaitClosed(1));
}

TEST_F(CoordinatorServiceTest, AnUnreadableReportEndsItsLinkAlone) {
  link->Connect(&worker);
  control.WaitLink(1);
  GrpcControlLink other(server->address());
  Worker second;
  other.Connect(&second);
  control.WaitLink(2);
  Report bad = SomeReport(1);
  bad.name = "not a name";
  link->Send(bad);
  const absl::Status why = worker.WaitDown();
  EXPECT_EQ(why.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(control.WaitClosed(1));
  EXPECT_TRUE(control.seen.Get().reports.empty());
  other.Send(SomeReport(2));
  EXPECT_TRUE(control.seen.WaitFor([](const auto& seen) { return seen.reports.size() == 1; }));
}

TEST_F(CoordinatorServiceTest, CloseAllEndsEveryLinkAndRefusesNewOnes) {
  link->Connect(&worker);
  control.WaitLink(1);
  service.CloseAll(WithRetryAfter(absl::UnavailableError("stops"), Milliseconds(30)));
  EXPECT_EQ(RetryAfter(worker.WaitDown()), Milliseconds(30));
  Worker again;
  link->Connect(&again);
  EXPECT_EQ(again.WaitDown().message(), "stops");
  EXPECT_TRUE(control.WaitClosed(2));
}

// A worker that reads nothing: commands pile up, and the link can be closed all the same.
TEST_F(CoordinatorServiceTest, AWorkerThatDoesNotReadCannotHoldItsLink) {
  class Deaf final : public grpc::ClientBidiReactor<v1::Report, v1::Command> {
   public:
    explicit Deaf(const std::string& address)
        : stub_(v1::Coordinator::NewStub(DialInsecure(address))) {
      stub_->async()->Join(&context_, this);
      AddHold();
      StartCall();
    }
    ~Deaf() override {
      context_.TryCancel();
      RemoveHold();
      EXPECT_TRUE(done_.WaitFor([](bool done) { return done; }));
    }

   private:
    void OnDone(const grpc::Status&) override {
      done_.Change([](bool& done) { done = true; });
    }
    std::unique_ptr<v1::Coordinator::Stub> stub_;
    grpc::ClientContext context_;
    Watched<bool> done_;
  };
  Deaf deaf(server->address());
  const ControlServerListener::Link to_worker = control.WaitLink(1);
  Command large;
  large.assigned = ExpertSet::Full(ExpertGrid{0, 1024, 16384});  // 2 MiB
  for (int i = 0; i < 50; ++i) to_worker.send(large);
  to_worker.close();
  EXPECT_TRUE(control.WaitClosed(1));
}

}  // namespace
}  // namespace expertmesh
