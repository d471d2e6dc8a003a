#include "cluster/worker_session.h"

#include <algorithm>

namespace expertmesh {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(50);
constexpr Duration kLongestBackoff = std::chrono::seconds(2);

}  // namespace

WorkerSession::WorkerSession(Report identity, WorkerSessionHost* host)
    : report_(std::move(identity)), host_(host), backoff_(kFirstBackoff) {}

void WorkerSession::Start(Time now) { host_->Connect(); }

void WorkerSession::OnLinkUp(Time now) {
  link_up_ = true;
  reconnect_at_ = kNever;
  Send(now);
}

void WorkerSession::OnLinkDown(Time now) {
  link_up_ = false;
  next_report_ = kNever;
  if (fenced_) return;
  reconnect_at_ = now + backoff_;
  backoff_ = std::min(backoff_ * 2, kLongestBackoff);
}

void WorkerSession::OnCommand(const Command& command, Time now) {
  if (fenced_) return;
  if (command.fenced.empty() && command.incarnation == Incarnation{}) return;  // names no life
  if (command.term < report_.highest_term) return;
  if (command.term == report_.highest_term && command.number <= last_command_) return;
  report_.highest_term = command.term;
  last_command_ = command.number;
  backoff_ = kFirstBackoff;
  if (!command.fenced.empty()) {
    fenced_ = true;
    DropLease();
    host_->Fenced(command.fenced);
    return;
  }
  const bool renamed = command.incarnation != report_.incarnation;
  if (renamed) {
    report_.incarnation = command.incarnation;
    host_->AdoptIncarnation(command.incarnation);
  }
  lease_until_ = now + command.lease;
  if (alone_until_ != kNever) alone_until_ = now + kAloneWhileDraining;
  if (!lease_held_) {
    lease_held_ = true;
    host_->LeaseChanged(true);
  }
  if (command.topology != nullptr && command.topology->epoch > report_.epoch) {
    report_.epoch = command.topology->epoch;
    host_->AdoptTopology(command.topology);
  }
  if (command.assigned.grid().layers != 0 && command.assigned != assigned_) {
    assigned_ = command.assigned;
    host_->Assign(assigned_);
  }
  host_->DrainWanted(command.drain);
  if (renamed) Send(now);
  if (command.released && report_.state == WorkerState::kDraining) host_->Released();
}

void WorkerSession::OnTick(Time now) {
  if (lease_held_ && now >= lease_until_) DropLease();
  if (now >= reconnect_at_) {
    reconnect_at_ = kNever;
    host_->Connect();
  }
  if (link_up_ && now >= next_report_) Send(now);
  if (now >= alone_until_) {
    alone_until_ = now + kAloneWhileDraining;
    host_->LeftAlone();
  }
}

Time WorkerSession::NextWakeup() const {
  const Time wake = std::min({next_report_, reconnect_at_, alone_until_});
  return lease_held_ ? std::min(wake, lease_until_) : wake;
}

void WorkerSession::Update(Time now, WorkerState state, const ExpertSet& holds,
                           const ExpertSet& loading) {
  if (report_.state == state && report_.holds == holds && report_.loading == loading) return;
  if (state == WorkerState::kDraining && report_.state != state) {
    alone_until_ = now + kAloneWhileDraining;
  }
  if (state != WorkerState::kDraining) alone_until_ = kNever;
  report_.state = state;
  if (report_.holds != holds) report_.rows.clear();  // it was about the former ones
  report_.holds = holds;
  report_.loading = loading;
  if (link_up_) Send(now);
}

void WorkerSession::UpdateSilent(Time now, const std::vector<Incarnation>& silent) {
  if (report_.silent == silent) return;
  report_.silent = silent;
  if (link_up_) Send(now);
}

void WorkerSession::UpdateProgress(uint64_t loaded_bytes, uint64_t wanted_bytes) {
  report_.loaded_bytes = loaded_bytes;
  report_.wanted_bytes = wanted_bytes;
}

void WorkerSession::Send(Time now) {
  ++report_.number;
  next_report_ = now + kReportPeriod;
  host_->SendReport(report_);
  report_.rows.clear();
}

void WorkerSession::DropLease() {
  if (!lease_held_) return;
  lease_held_ = false;
  host_->LeaseChanged(false);
}

}  // namespace expertmesh
