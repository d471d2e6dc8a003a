// membership.h: who is in the fleet, who holds what, and which topology says so: control's state
// machine.
//
// TERMS. A coordinator without a store takes 1 + the highest term that any worker reports. It
// learns that from the first report of a life that it did not make itself; all it says afterwards
// carries the higher term, so workers drop what an older coordinator still says.
//
// INCARNATIONS. A life of a worker is named at its first report. Of two lives of one name the newer
// one wins; the older is told that it is fenced. A life that we named ourselves is newer than one
// that an earlier coordinator named, in whatever term that was.
//
// MODEL. The fleet's model is that of its live workers; a worker of another one is fenced by name.
// In recovery a worker with a term, which is of the fleet that runs, outvotes those without, unless
// they hold experts already. When all workers have been LOST for a lease the model is given up: the
// next to report brings its own.
//
// LOST. A broken link or a missed lease. A life that comes back says what it holds and is READY
// again at once. Who stays LOST is forgotten after `forget_lost`. Control notices its own pauses by
// ticks that come late: leases that ran out meanwhile get half a lease more, a few times in a row.
//
// RECOVERY is the first lease after the start: not everyone of a fleet that runs may have reported.
//
// PLACEMENT. The first is made when `initial_expert_workers` have reported, none of them with a
// term; or, when some have one (control restarted in a running fleet), after recovery, so that
// those who hold experts can say so. Later, workers without experts get what is uncovered.
//
// PUBLICATION. Workers go on by the topology that they have until there is a better one: in
// recovery none is published before it covers all experts. Replicas of one expert have one compute
// class (publication.h).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cluster/control_link.h"
#include "cluster/report.h"
#include "common/clock.h"

namespace expertmesh {

struct MembershipOptions {
  int32_t initial_expert_workers = 1;
  Duration lease = kLease;
  Duration forget_lost = std::chrono::minutes(10);
  // Incarnations are numbered from here. Two coordinators of one fleet, one after the other, start
  // with different numbers (the shell passes the time of its start), so that no life is named twice
  // even before the terms are known.
  uint64_t first_number = 1;
};

// One worker as membership sees it.
struct WorkerRecord {
  Report report;  // the newest
  WorkerState state = WorkerState::kJoining;
  Incarnation incarnation;
  ExpertSet assigned;
  std::string note;  // for people: why the topology lists it with less than it holds
};

// Effects; called from inside Membership's methods.
class MembershipHost {
 public:
  virtual ~MembershipHost() = default;
  virtual void SendCommand(LinkId link, const Command& command) = 0;
  virtual void CloseLink(LinkId link) = 0;
  virtual void TopologyChanged(std::shared_ptr<const Topology> topology) = 0;
};

// Threads: one.
class Membership {
 public:
  Membership(MembershipOptions options, MembershipHost* host, Time now);

  void OnLinkOpened(LinkId link);
  void OnReport(LinkId link, const Report& report, Time now);
  void OnLinkClosed(LinkId link, Time now);
  void Tick(Time now);
  Time NextWakeup() const;

  // Null until the first publication.
  std::shared_ptr<const Topology> topology() const { return topology_; }
  std::map<std::string, WorkerRecord> Records() const;
  // Why nothing is placed yet; empty when something is, or nothing is missing.
  std::string WaitingFor() const;
  uint64_t term() const { return term_; }

 private:
  struct Worker {
    WorkerRecord record;
    LinkId link = 0;          // 0: none
    LinkId newest_link = 0;   // the last that it had, also when that is broken
    Time lease_until{};       // of a LOST one: when it was lost
    int forgiven = 0;         // pauses of ours since its last report
    bool named_here = false;  // this life got its incarnation from us: it began after we did
    bool live() const { return record.state != WorkerState::kLost; }
    bool expert() const { return record.report.role == WorkerRole::kExpert; }
  };

  std::string RefusalOf(const Report& report, Time now);
  bool Outvotes(const Report& report) const;
  void StartOver();
  Worker* Admit(LinkId link, const Report& report, Time now);
  void RaiseTerm(const Report& report);
  void Fence(LinkId link, const std::string& why);
  void Lose(Worker& worker, Time now);
  void ForgivePause(Time now);
  bool AnyLive() const;
  bool ModelIsFree(Time now) const;
  bool MayPlace() const;
  void Place();
  bool MayPublish(const Topology& next) const;
  bool Publish();
  void SendTo(Worker& worker);
  ExpertSet Spoken() const;  // held by or assigned to live workers

  MembershipOptions options_;
  MembershipHost* host_;
  Time recovery_ends_;
  Time next_tick_ = kNever;  // a later one shows that we were paused
  uint64_t term_ = 1;
  uint64_t counter_ = 0;  // of epochs
  uint64_t next_number_;  // of incarnations
  uint64_t command_number_ = 0;
  bool saw_term_ = false;   // some worker came with one: the fleet is older than we are
  bool recovered_ = false;  // recovery_ends_ has passed
  bool placed_ = false;
  std::map<std::string, Worker> workers_;
  std::map<LinkId, std::string> links_;  // link -> worker's name; empty until its first report
  std::optional<ModelIdentity> model_;   // of the live workers
  std::shared_ptr<const Topology> topology_;
};

}  // namespace expertmesh
