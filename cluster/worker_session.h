// worker_session.h: a worker's side of membership, as a clock-driven state machine.
//
// It reports, keeps the lease, and passes on what control says: nothing else. Commands of a lower
// term than one that it has seen are refused, so that a coordinator that was replaced cannot act;
// of one term, an older number is stale and dropped. A worker that drains and hears nothing of
// control for kAloneWhileDraining is told so: nobody is there to relieve it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/report.h"
#include "common/clock.h"

namespace expertmesh {

// Effects of the session; called from inside its methods, on its thread.
class WorkerSessionHost {
 public:
  virtual ~WorkerSessionHost() = default;
  virtual void Connect() = 0;  // open a link to control; OnLinkUp or OnLinkDown follows
  virtual void SendReport(const Report& report) = 0;
  virtual void Assign(const ExpertSet& experts) = 0;  // the wanted set changed
  virtual void AdoptTopology(std::shared_ptr<const Topology> topology) = 0;
  virtual void AdoptIncarnation(Incarnation incarnation) = 0;
  virtual void LeaseChanged(bool held) = 0;
  // Whether an operator wants it to drain; told with every command.
  virtual void DrainWanted(bool wanted) = 0;
  virtual void Released() = 0;   // drained: exit; may come more than once
  virtual void LeftAlone() = 0;  // it drains, and control is away; comes again and again
  virtual void Fenced(const std::string& why) = 0;  // this life is over: exit
};

inline constexpr Duration kAloneWhileDraining = std::chrono::seconds(3);

// Threads  one: the role's control thread.
class WorkerSession {
 public:
  // `identity` has everything of a report that does not change.
  WorkerSession(Report identity, WorkerSessionHost* host);

  void Start(Time now);
  void OnLinkUp(Time now);
  void OnLinkDown(Time now);
  void OnCommand(const Command& command, Time now);
  void OnTick(Time now);  // at or after NextWakeup
  Time NextWakeup() const;

  // The changing part of the report. A difference that others wait for is sent at once.
  void Update(Time now, WorkerState state, const ExpertSet& holds, const ExpertSet& loading);
  void UpdateLoad(const AttentionLoad& load) { report_.load = load; }
  // A change is sent at once.
  void UpdateSilent(Time now, const std::vector<Incarnation>& silent);
  // For the next report alone; of the experts that the last Update said are held.
  void UpdateRows(std::vector<uint64_t> rows) { report_.rows = std::move(rows); }
  void UpdateProgress(uint64_t loaded_bytes, uint64_t wanted_bytes);

  bool lease_held() const { return lease_held_; }
  const Report& report() const { return report_; }

 private:
  void Send(Time now);
  void DropLease();

  Report report_;
  WorkerSessionHost* host_;
  bool link_up_ = false;
  bool fenced_ = false;
  bool lease_held_ = false;
  Time lease_until_{};
  Time next_report_ = kNever;
  Time alone_until_ = kNever;  // of one that drains
  Time reconnect_at_ = kNever;
  Duration backoff_{};
  uint64_t last_command_ = 0;  // number, within report_.highest_term
  ExpertSet assigned_;
};

}  // namespace expertmesh
