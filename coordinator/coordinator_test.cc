// The two control threads at work: what is decided has its tests in membership/ and front_door/.
#include "coordinator/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/cord.h"
#include "common/mailbox.h"
#include "common/mutex.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const ExpertGrid kGrid{1, 1, 4};
constexpr std::chrono::seconds kDeadline(20);

Report ReportOf(const std::string& name, WorkerRole role, bool ready) {
  Report report;
  report.number = ready ? 2 : 1;
  report.name = name;
  report.role = role;
  report.address = "at-" + name;
  report.state = ready ? WorkerState::kReady : WorkerState::kJoining;
  report.memory_bytes = 1000;
  report.model.name = "tiny";
  report.model.fingerprint = {1, 2};
  report.model.grid = kGrid;
  report.model.hidden = 4;
  report.model.expert_bytes = 1;
  const bool holds = ready && role == WorkerRole::kExpert;
  report.holds = holds ? ExpertSet::Full(kGrid) : ExpertSet(kGrid);
  return report;
}

// One client: what it got, and a wait for its end.
class Client final : public GenerationListener {
 public:
  void OnDelta(RequestId, Delta delta) override {
    MutexLock lock(mutex_);
    for (const OutputToken& token : delta.tokens) tokens_.push_back(token.id);
  }
  void OnEnd(RequestId, absl::Status status) override {
    // A copy that shares nothing with the door's thread: the packaged Abseil counts its references
    // where ThreadSanitizer does not see it.
    absl::Status copy(status.code(), status.message());
    status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
      copy.SetPayload(url, absl::Cord(std::string(payload)));
    });
    MutexLock lock(mutex_);
    ends_.push_back(std::move(copy));
    ended_.notify_all();
  }

  absl::Status WaitForEnd() {
    MutexLock lock(mutex_);
    const bool ended = ended_.wait_for(lock.native(), kDeadline, [&] { return !ends_.empty(); });
    return ended ? ends_.front() : absl::DeadlineExceededError("no end came");
  }
  std::vector<int32_t> tokens() {
    MutexLock lock(mutex_);
    return tokens_;
  }
  size_t ends() {
    MutexLock lock(mutex_);
    return ends_.size();
  }

 private:
  Mutex mutex_;
  std::condition_variable ended_;
  std::vector<int32_t> tokens_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> ends_ ABSL_GUARDED_BY(mutex_);
};

// An attention worker with a thread of its own: two tokens, then the end. A request without
// max_tokens runs until it is cancelled.
class ThreadedPort final : public AttentionPort {
 public:
  explicit ThreadedPort(std::string name) : name_(std::move(name)), thread_([this] { Main(); }) {}
  ~ThreadedPort() override {
    jobs_.Post({.stop = true});
    thread_.join();
  }
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override {
    jobs_.Post({.id = id, .listener = listener, .endless = request.max_tokens == 0});
  }
  void Cancel(RequestId id) override { jobs_.Post({.id = id, .cancel = true}); }

 private:
  struct Job {
    RequestId id = 0;
    GenerationListener* listener = nullptr;
    bool endless = false;
    bool cancel = false;
    bool stop = false;
  };

  void Main() {
    std::map<RequestId, GenerationListener*> running;
    std::vector<Job> jobs;
    for (;;) {
      jobs_.Drain(kNever, jobs);
      for (const Job& job : jobs) {
        if (job.stop) return;
        if (job.cancel) {
          if (auto run = running.extract(job.id)) {
            run.mapped()->OnEnd(job.id, absl::CancelledError("by " + name_));
          }
        } else if (job.endless) {
          running[job.id] = job.listener;
        } else {
          for (int32_t token : {5, 6}) {
            Delta delta;
            delta.tokens.push_back({token, 0, {}});
            job.listener->OnDelta(job.id, std::move(delta));
          }
          job.listener->OnEnd(job.id, absl::OkStatus());
        }
      }
    }
  }

  std::string name_;
  Mailbox<Job> jobs_;
  std::thread thread_;  // last: it starts when the rest is there
};

// A coordinator, and the worker's ends of its links.
class CoordinatorTest : public testing::Test {
 protected:
  explicit CoordinatorTest(CoordinatorOptions options = {})
      : coordinator_(options, [this](const std::string& name, const std::string& address) {
          MutexLock lock(mutex_);
          ports_.insert(name + " " + address);
          return std::make_unique<ThreadedPort>(name);
        }) {}

  void OpenLink(LinkId id) {
    coordinator_.OnLinkOpened(id, {.send =
                                       [this, id](const Command& command) {
                                         MutexLock lock(mutex_);
                                         commands_[id].push_back(command);
                                       },
                                   .close =
                                       [this, id] {
                                         MutexLock lock(mutex_);
                                         closed_.insert(id);
                                       }});
  }
  // Joins by reports alone; when List has returned, all of it has taken effect.
  void Join(LinkId id, const std::string& name, WorkerRole role) {
    OpenLink(id);
    for (bool ready : {false, true}) coordinator_.OnReport(id, ReportOf(name, role, ready));
  }
  void JoinAll() {
    Join(1, "a0", WorkerRole::kAttention);
    Join(2, "e0", WorkerRole::kExpert);
    EXPECT_EQ(coordinator_.List().topology.members.size(), 2u);
  }
  absl::Status Ask(Client& client, int32_t max_tokens = 2) {
    GenerateRequest request;
    request.prompt = {1};
    request.max_tokens = max_tokens;
    coordinator_.Start(coordinator_.NewRequestId(), request, &client);
    return client.WaitForEnd();
  }

  Mutex mutex_;
  std::set<std::string> ports_ ABSL_GUARDED_BY(mutex_);
  std::map<LinkId, std::vector<Command>> commands_ ABSL_GUARDED_BY(mutex_);
  std::set<LinkId> closed_ ABSL_GUARDED_BY(mutex_);
  Coordinator coordinator_;
};

TEST_F(CoordinatorTest, ServesARequestThroughTheWorkerThatReported) {
  JoinAll();
  Client client;
  EXPECT_EQ(Ask(client), absl::OkStatus());
  EXPECT_THAT(client.tokens(), ElementsAre(5, 6));
  EXPECT_EQ(client.ends(), 1u);
  MutexLock lock(mutex_);
  EXPECT_THAT(ports_, ElementsAre("a0 at-a0"));
}

TEST_F(CoordinatorTest, RefusesWhenNoWorkerHasJoined) {
  Client client;
  const absl::Status status = Ask(client);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryAfter(status).has_value());
}

TEST_F(CoordinatorTest, AnswersEveryWorkerOnItsOwnLink) {
  JoinAll();
  MutexLock lock(mutex_);
  ASSERT_FALSE(commands_[1].empty());
  ASSERT_FALSE(commands_[2].empty());
  EXPECT_NE(commands_[1].back().incarnation, commands_[2].back().incarnation);
  EXPECT_EQ(commands_[2].back().assigned, ExpertSet::Full(kGrid));
  EXPECT_EQ(commands_[1].back().assigned, ExpertSet());
}

TEST_F(CoordinatorTest, ListsTheWholeFleet) {
  EXPECT_EQ(coordinator_.List().missing, "control waits for 1 expert workers to join");
  Join(1, "e1", WorkerRole::kExpert);
  Join(2, "z0", WorkerRole::kAttention);
  Join(3, "e0", WorkerRole::kExpert);
  coordinator_.OnLinkClosed(3);
  const FleetListing listing = coordinator_.List();
  EXPECT_EQ(listing.missing, "");
  EXPECT_TRUE(listing.uncovered.empty());
  std::vector<std::string> names;
  for (const WorkerListing& worker : listing.workers) {
    names.push_back(worker.report.name + " " + std::string(Name(worker.state)));
    EXPECT_NE(worker.report.incarnation, Incarnation()) << "the name that control has given";
  }
  EXPECT_THAT(names, ElementsAre("z0 READY", "e0 LOST", "e1 READY"));
}

TEST_F(CoordinatorTest, SaysWhatKeepsTheFleetFromServing) {
  EXPECT_EQ(coordinator_.List().missing, "control waits for 1 expert workers to join");
  Join(1, "e0", WorkerRole::kExpert);
  EXPECT_EQ(coordinator_.List().missing, "no attention worker is READY");
  Join(2, "a0", WorkerRole::kAttention);
  EXPECT_EQ(coordinator_.List().missing, "");
  coordinator_.OnLinkClosed(1);
  EXPECT_EQ(coordinator_.List().missing, "no expert worker that serves holds layer 1: experts 0-3");
  coordinator_.Stop();
  EXPECT_EQ(coordinator_.List().missing, "control has stopped");
}

// Control is busy with one worker while another sends without end: of its reports the newest
// counts.
TEST_F(CoordinatorTest, AFloodOfReportsOfOneWorkerWaitsInOnePlace) {
  Join(1, "e0", WorkerRole::kExpert);
  coordinator_.List();
  std::promise<void> entered, let_go;
  std::atomic<bool> first{true};
  coordinator_.OnLinkOpened(2, {.send =
                                    [&](const Command&) {
                                      if (!first.exchange(false)) return;
                                      entered.set_value();
                                      let_go.get_future().wait();
                                    },
                                .close = [] {}});
  coordinator_.OnReport(2, ReportOf("a0", WorkerRole::kAttention, false));
  entered.get_future().wait();
  size_t before = 0;
  {
    MutexLock lock(mutex_);
    before = commands_[1].size();
  }
  Report report = ReportOf("e0", WorkerRole::kExpert, true);
  for (int i = 0; i < 1000; ++i) {
    ++report.number;
    report.loaded_bytes = static_cast<uint64_t>(i);
    coordinator_.OnReport(1, report);
  }
  let_go.set_value();
  const FleetListing listing = coordinator_.List();
  ASSERT_EQ(listing.workers.size(), 2u);
  EXPECT_EQ(listing.workers[1].report.loaded_bytes, 999u);
  MutexLock lock(mutex_);
  EXPECT_EQ(commands_[1].size(), before + 1) << "one answer: one report was taken";
}

TEST_F(CoordinatorTest, SaysWhatALostWorkerLeavesUncovered) {
  JoinAll();
  coordinator_.OnLinkClosed(2);
  const FleetListing listing = coordinator_.List();
  EXPECT_EQ(listing.uncovered, ExpertSet::Full(kGrid));
  EXPECT_THAT(listing.missing, HasSubstr("no expert worker that serves holds layer 1"));
}

TEST_F(CoordinatorTest, ClosesTheLinkThatAWorkerHasLeftForANewerOne) {
  JoinAll();
  Report again = ReportOf("e0", WorkerRole::kExpert, true);
  {
    MutexLock lock(mutex_);
    again.incarnation = commands_[2].back().incarnation;
  }
  OpenLink(9);
  coordinator_.OnReport(9, again);
  EXPECT_TRUE(coordinator_.List().uncovered.empty());
  MutexLock lock(mutex_);
  EXPECT_THAT(closed_, ElementsAre(2));
  EXPECT_FALSE(commands_[9].empty());
}

TEST_F(CoordinatorTest, PassesACancelOn) {
  JoinAll();
  Client client;
  GenerateRequest endless;
  const RequestId id = coordinator_.NewRequestId();
  coordinator_.Start(id, endless, &client);
  coordinator_.Cancel(id);
  EXPECT_EQ(client.WaitForEnd(), absl::CancelledError("by a0"));
}

TEST_F(CoordinatorTest, DrainRefusesNewRequestsAndLetsOthersRun) {
  JoinAll();
  Client running, late;
  const RequestId id = coordinator_.NewRequestId();
  coordinator_.Start(id, GenerateRequest(), &running);
  coordinator_.Drain();
  EXPECT_EQ(Ask(late).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(running.ends(), 0u);
  coordinator_.Cancel(id);
  EXPECT_EQ(running.WaitForEnd(), absl::CancelledError("by a0"));
}

TEST_F(CoordinatorTest, StopEndsWhatRunsAndIsHarmlessTwice) {
  JoinAll();
  Client running, late;
  coordinator_.Start(coordinator_.NewRequestId(), GenerateRequest(), &running);
  coordinator_.Stop();
  EXPECT_EQ(running.ends(), 1u) << "before Stop has returned";
  EXPECT_EQ(running.WaitForEnd().code(), absl::StatusCode::kUnavailable);
  coordinator_.Start(coordinator_.NewRequestId(), GenerateRequest(), &late);
  EXPECT_EQ(late.ends(), 1u);
  EXPECT_EQ(late.WaitForEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(coordinator_.List().workers.empty());
  coordinator_.OnReport(1, ReportOf("a0", WorkerRole::kAttention, true));
  coordinator_.Stop();
  EXPECT_EQ(running.ends(), 1u);
}

// Clients and operators who call while it stops: each request ends once, nobody waits for ever.
TEST_F(CoordinatorTest, EndsEveryRequestOnceThoughItStopsMeanwhile) {
  JoinAll();
  constexpr int kThreads = 3;
  std::vector<std::vector<std::unique_ptr<Client>>> clients(kThreads);
  std::atomic<int> asked{0};
  std::atomic<bool> stopped{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000 && !stopped; ++i) {
        clients[t].push_back(std::make_unique<Client>());
        GenerateRequest request;
        request.max_tokens = i % 2;
        coordinator_.Start(coordinator_.NewRequestId(), request, clients[t].back().get());
        if (i % 8 == 0) coordinator_.List();
        ++asked;
      }
    });
  }
  while (asked < 300) std::this_thread::yield();
  coordinator_.Stop();
  stopped = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& of_thread : clients) {
    for (const auto& client : of_thread) EXPECT_EQ(client->ends(), 1u);
  }
}

class ShortLease : public CoordinatorTest {
 protected:
  ShortLease() : CoordinatorTest({.lease = Milliseconds(30)}) {}
};

TEST_F(ShortLease, RunsOutByTimeAlone) {
  Join(1, "a0", WorkerRole::kAttention);
  const Time deadline = Now() + kDeadline;
  while (coordinator_.List().workers.at(0).state != WorkerState::kLost && Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(coordinator_.List().workers.at(0).state, WorkerState::kLost);
  MutexLock lock(mutex_);
  EXPECT_EQ(commands_[1].back().lease, Milliseconds(30));
  EXPECT_THAT(closed_, ElementsAre(1));
}

}  // namespace
}  // namespace expertmesh
