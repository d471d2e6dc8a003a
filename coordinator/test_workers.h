// test_workers.h: for tests of a coordinator as a whole: workers on links of their own that do at
// once what they are told.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "coordinator/coordinator.h"

namespace expertmesh {

inline constexpr ExpertGrid kWorkersGrid{1, 2, 6};  // layers 1 and 2 of six experts
inline constexpr uint64_t kWorkersExpertBytes = 10;

// A lease within which tests end: nobody reports to keep it.
inline CoordinatorOptions OptionsOfTests(int32_t initial_expert_workers) {
  return {.initial_expert_workers = initial_expert_workers, .lease = std::chrono::hours(1)};
}

// Destroyed before its coordinator, which has been stopped by then.
class TestWorkers {
 public:
  explicit TestWorkers(Coordinator* coordinator) : coordinator_(coordinator) {}
  ~TestWorkers() { coordinator_->Stop(); }

  // Loads nothing while it is not obedient.
  void Join(const std::string& name, WorkerRole role, int64_t room = 100, bool obedient = true) {
    auto worker = std::make_shared<Worker>();
    worker->obedient = obedient;
    Report& report = worker->report;
    report.name = name;
    report.role = role;
    report.address = "at-" + name;
    report.state = WorkerState::kReady;
    report.memory_bytes = static_cast<uint64_t>(room) * kWorkersExpertBytes;
    report.model.name = "tiny";
    report.model.fingerprint = {1, 2};
    report.model.grid = kWorkersGrid;
    report.model.hidden = 4;
    report.model.top_k = 2;
    report.model.expert_bytes = kWorkersExpertBytes;
    report.holds = report.loading = ExpertSet(kWorkersGrid);
    const LinkId link = ++last_link_;
    links_[name] = link;
    coordinator_->OnLinkOpened(
        link,
        {.send = [this, link, worker](const Command& command) { Obey(link, *worker, command); },
         .close = [this, link] { coordinator_->OnLinkClosed(link); }});
    Tell(link, *worker);
  }
  // Its link breaks.
  void Lose(const std::string& name) { coordinator_->OnLinkClosed(links_.at(name)); }

  // The worker of this name as control lists it, once `condition` holds of it; after 20 s as it is.
  template <typename Condition>
  WorkerListing WaitFor(const std::string& name, const Condition& condition) {
    const Time until = Now() + std::chrono::seconds(20);
    for (;;) {
      WorkerListing found;
      for (WorkerListing& worker : coordinator_->List().workers) {
        if (worker.report.name == name) found = std::move(worker);
      }
      if (condition(found) || Now() >= until) return found;
    }
  }

 private:
  struct Worker {
    Report report;
    bool obedient = true;
  };

  void Tell(LinkId link, Worker& worker) {
    ++worker.report.number;
    coordinator_->OnReport(link, worker.report);
  }

  // On membership's thread.
  void Obey(LinkId link, Worker& worker, const Command& command) {
    if (command.released) return coordinator_->OnLinkClosed(link);
    Report next = worker.report;
    next.incarnation = command.incarnation;
    next.highest_term = command.term;
    next.state = command.drain ? WorkerState::kDraining : WorkerState::kReady;
    if (command.topology != nullptr) next.epoch = command.topology->epoch;
    if (command.assigned.grid() == kWorkersGrid && worker.obedient) next.holds = command.assigned;
    const bool news = next.incarnation != worker.report.incarnation ||
                      next.state != worker.report.state || next.epoch != worker.report.epoch ||
                      next.holds != worker.report.holds;
    worker.report = std::move(next);
    if (news) Tell(link, worker);
  }

  Coordinator* coordinator_;
  LinkId last_link_ = 0;
  std::map<std::string, LinkId> links_;
};

}  // namespace expertmesh
