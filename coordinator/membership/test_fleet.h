// test_fleet.h: for membership's tests: control with a clock that is set by hand, and workers that
// do what a worker does with a command, when the test lets them hear it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/membership/membership.h"

namespace expertmesh {

inline constexpr ExpertGrid kTestGrid{1, 2, 6};  // layers 1 and 2 of six experts
inline constexpr uint64_t kTestExpertBytes = 100;

inline ModelIdentity TestModel() {
  ModelIdentity model;
  model.name = "tiny";
  model.fingerprint = {0xab, 0xcd};
  model.grid = kTestGrid;
  model.hidden = 8;
  model.top_k = 2;
  model.expert_bytes = kTestExpertBytes;
  return model;
}

// One life of a worker.
struct TestWorker {
  TestWorker(std::string name, WorkerRole role) {
    report.name = std::move(name);
    report.role = role;
    report.address = report.name + ":1";
    report.model = TestModel();
    report.memory_bytes = 1000 * kTestExpertBytes;
    report.holds = ExpertSet(kTestGrid);
    assigned = ExpertSet(kTestGrid);
  }

  Report report;  // what it says next
  LinkId link = 0;
  ExpertSet assigned;
  std::string fenced;
  bool drain = false, released = false;
  size_t heard = 0;  // commands of its link
};

class TestFleet final : public MembershipHost {
 public:
  // Control started at time 0 if it is in recovery, else a lease before.
  enum class Start { kRecovered, kInRecovery };
  explicit TestFleet(MembershipOptions options = {}, Start start = Start::kRecovered)
      : control(options, this, At(0) - (start == Start::kRecovered ? options.lease : Duration())) {
    control.Tick(At(0));
  }

  static Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

  // Opens a new link for the worker; nobody is told that an older one is gone.
  void Dial(TestWorker& worker) {
    worker.link = next_link_++;
    worker.heard = 0;
    control.OnLinkOpened(worker.link);
  }
  // The worker's link breaks.
  void Hangup(TestWorker& worker, int64_t ms) { control.OnLinkClosed(worker.link, At(ms)); }

  // One report; the worker hears nothing yet.
  void Report(TestWorker& worker, int64_t ms) {
    ++worker.report.number;
    control.OnReport(worker.link, worker.report, At(ms));
  }
  // The worker hears what was sent on its link, and obeys as worker_session.h says.
  void Hear(TestWorker& worker) {
    const std::vector<Command>& sent = commands[worker.link];
    for (; worker.heard < sent.size(); ++worker.heard) {
      const Command& command = sent[worker.heard];
      if (command.term < worker.report.highest_term) continue;
      worker.report.highest_term = command.term;
      if (!command.fenced.empty()) {
        worker.fenced = command.fenced;
        continue;
      }
      worker.report.incarnation = command.incarnation;
      worker.drain = command.drain;
      worker.released |= command.released;
      if (command.topology != nullptr) worker.report.epoch = command.topology->epoch;
      if (command.assigned.grid() == kTestGrid) worker.assigned = command.assigned;
    }
  }
  void Say(TestWorker& worker, int64_t ms) {
    const Incarnation before = worker.report.incarnation;
    Report(worker, ms);
    Hear(worker);
    if (worker.report.incarnation == before) return;
    Report(worker, ms);  // it has a new name, and says so
    Hear(worker);
  }
  // It holds what is wanted of it, and says so.
  void Load(TestWorker& worker, int64_t ms) {
    worker.report.state = WorkerState::kReady;
    worker.report.holds.InsertAll(worker.assigned);
    Say(worker, ms);
  }
  // It holds exactly what is wanted of it, and says so.
  void Obey(TestWorker& worker, int64_t ms) {
    worker.report.holds = worker.assigned;
    Say(worker, ms);
  }
  // Joins and becomes READY with what it is given.
  void Join(TestWorker& worker, int64_t ms) {
    Dial(worker);
    Say(worker, ms);
    Load(worker, ms);
  }

  // Time passes: ticks as often as control asks for them, the last at `ms`.
  void Advance(int64_t ms) {
    while (control.NextWakeup() < At(ms)) control.Tick(control.NextWakeup());
    control.Tick(At(ms));
  }

  void SendCommand(LinkId link, const Command& command) override {
    commands[link].push_back(command);
  }
  void CloseLink(LinkId link) override { closed.push_back(link); }
  void TopologyChanged(std::shared_ptr<const Topology> topology) override {
    published.push_back(std::move(topology));
  }

  const Command& Last(const TestWorker& worker) { return commands[worker.link].back(); }
  WorkerRecord Record(const std::string& name) { return control.Records().at(name); }
  std::vector<std::string> Names() const {  // of the topology's members
    std::vector<std::string> names;
    for (const Member& member : control.topology()->members) names.push_back(member.name);
    return names;
  }
  int64_t uncovered() const { return Uncovered(*control.topology()).size(); }

  std::map<LinkId, std::vector<Command>> commands;
  std::vector<LinkId> closed;
  std::vector<std::shared_ptr<const Topology>> published;
  Membership control;

 private:
  LinkId next_link_ = 1;
};

inline TestWorker ExpertWorkerNamed(std::string name) {
  return TestWorker(std::move(name), WorkerRole::kExpert);
}
inline TestWorker AttentionWorkerNamed(std::string name) {
  return TestWorker(std::move(name), WorkerRole::kAttention);
}

}  // namespace expertmesh
