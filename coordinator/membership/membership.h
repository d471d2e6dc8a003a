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
// DRAINING. A worker that is to leave, by its own wish or an operator's, is relieved of all that it
// has (rollout.h), released, and GONE when its link closes.
//
// LOST. A broken link or a missed lease; or, sooner, the word of an attention worker that an expert
// worker owes it an answer and is silent, where control has missed two reports of it as well. A
// life that comes back says what it holds and is READY again at once. Who stays LOST is forgotten
// after `forget_lost`. Control notices its own pauses by ticks that come late: leases that ran out
// meanwhile get half a lease more, a few times in a row.
//
// RECOVERY is the first lease after the start: not everyone of a fleet that runs may have reported.
//
// PLACEMENT. The first is made when `initial_expert_workers` have reported, none of them with a
// term; or, when some have one (control restarted in a running fleet), after recovery, so that
// those who hold experts can say so. From then on each change of the fleet is answered by a plan
// (placement/plan.h), which rollout.h carries out: what is uncovered goes where there is room. When
// the placement has been uneven for a while (placement/trigger.h), experts are moved or replicated
// to even it out, a newcomer without any among those who get some.
//
// FREEZE. When more than a third of the workers, and two at least, vanish within one lease, that is
// rather a fault of the network than of theirs: nothing is placed or unloaded until half of them
// are back, half a minute has passed, or an operator says so.
//
// PUBLICATION. Workers go on by the topology that they have until there is a better one: in
// recovery none is published before it covers all experts. Replicas of one expert have one compute
// class (publication.h).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/control_link.h"
#include "cluster/report.h"
#include "common/clock.h"
#include "coordinator/membership/rollout.h"
#include "coordinator/membership/worker_record.h"
#include "coordinator/placement/load_book.h"
#include "coordinator/placement/trigger.h"

namespace expertmesh {

struct MembershipOptions {
  int32_t initial_expert_workers = 1;
  Duration lease = kLease;
  Duration forget_lost = std::chrono::minutes(10);
  TriggerOptions balance;  // when the load is spread anew
  // Incarnations are numbered from here. Two coordinators of one fleet, one after the other, start
  // with different numbers (the shell passes the time of its start), so that no life is named twice
  // even before the terms are known.
  uint64_t first_number = 1;
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

  // Operators. `name` need not have joined yet.
  void SetOrders(const std::string& name, const WorkerOrders& orders);
  WorkerOrders OrdersOf(const std::string& name) const;
  // Spreads the load anew.
  void Rebalance();
  void Thaw();

  // Null until the first publication.
  std::shared_ptr<const Topology> topology() const { return topology_; }
  std::map<std::string, WorkerRecord> Records() const;
  // Why nothing is placed yet; empty when something is, or nothing is missing.
  std::string WaitingFor() const;
  bool frozen() const { return thaw_at_ > 0; }
  // Why it is, for people; empty when it is not.
  std::string WhyFrozen() const;
  // The live workers' model; nullopt until the first has reported.
  const std::optional<ModelIdentity>& model() const { return model_; }
  size_t orders_count() const { return orders_.size(); }
  // What a plan that is made now would look at. Changes nothing; empty without a model.
  PlacementInput Placement();
  // Experts are on their way, or are meant to be.
  bool Moving();
  uint64_t rounds() const { return rollout_.rounds(); }
  uint64_t term() const { return term_; }

 private:
  struct Worker {
    WorkerRecord record;
    LinkId link = 0;             // 0: none
    LinkId newest_link = 0;      // the last that it had, also when that is broken
    Time lease_until{};          // of a LOST one: when it was lost
    Time heard{};                // its last report
    int forgiven = 0;            // pauses of ours since its last report
    bool named_here = false;     // this life got its incarnation from us: it began after we did
    bool released = false;       // it was told to exit
    bool answered = false;       // a command was sent since its last report
    ExpertSet told;              // what it was last told to hold
    std::vector<uint64_t> rows;  // [grid.size()] that its experts have run, as far as it has said
    bool live() const {
      return record.state != WorkerState::kLost && record.state != WorkerState::kGone;
    }
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
  void Freeze(Time now);
  void EndFreeze();
  void KeepOrders(const std::string& name, const WorkerOrders& orders);
  int32_t CountLive() const;
  bool AnyLive() const { return CountLive() > 0; }
  bool ModelIsFree(Time now) const;
  bool MayPlace() const;
  void CountRows(Worker& worker, Time now);
  bool LoseSilent(const Report& witness, Time now);
  void LookAtBalance(Time now);
  void Advance();
  Rollout::Fleet FleetNow();
  bool MayPublish(const Topology& next) const;
  bool Publish();
  bool MayLeave(const Worker& worker) const;
  void SendTo(Worker& worker);

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
  Rollout rollout_;
  PlanTrigger trigger_;           // for balance alone
  std::optional<LoadBook> book_;  // of the model's experts
  std::vector<double> loads_;     // as of the last look at the balance
  Time next_look_ = kNever;
  int32_t thaw_at_ = 0;    // frozen until so many workers live; 0: not frozen
  Time thaw_by_ = kNever;  // or until then
  std::map<std::string, Worker> workers_;
  std::map<std::string, WorkerOrders> orders_;  // by name; also of workers that are not there
  std::map<LinkId, std::string> links_;  // link -> worker's name; empty until its first report
  std::optional<ModelIdentity> model_;   // of the live workers
  std::shared_ptr<const Topology> topology_;
};

}  // namespace expertmesh
