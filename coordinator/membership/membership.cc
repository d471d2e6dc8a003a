#include "coordinator/membership/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "coordinator/placement/placement.h"

namespace expertmesh {

Membership::Membership(MembershipOptions options, MembershipHost* host, Time now)
    : options_(options), host_(host), started_(now), next_number_(options.first_number) {}

void Membership::OnLinkOpened(LinkId link) { links_[link] = ""; }

// ---- reports

void Membership::OnReport(LinkId link, const Report& report, Time now) {
  if (!links_.contains(link)) return;
  if (report.highest_term > term_) LearnTerm(report);  // else nothing that we say is obeyed
  if (std::string why = RefusalOf(report); !why.empty()) return Fence(link, why);
  Worker* worker = Admit(link, report, now);
  if (worker == nullptr) return;
  worker->lease_until = now + options_.lease;
  if (report.number <= worker->record.report.number) return;  // overtaken by a newer one
  worker->record.report = report;
  worker->record.state = report.state;
  worker->record.assigned.InsertAll(report.holds.grid() == worker->record.assigned.grid()
                                        ? report.holds
                                        : ExpertSet(worker->record.assigned.grid()));
  Place(now);
  if (!Publish()) SendTo(*worker);
}

// Why this worker may not be in the fleet at all; empty when it may.
std::string Membership::RefusalOf(const Report& report) const {
  if (report.name.empty()) return "a worker needs a name";
  if (topology_ == nullptr) return "";
  const ModelIdentity& model = topology_->model;
  if (report.model.fingerprint != model.fingerprint || !(report.model.grid == model.grid)) {
    return absl::StrCat("its model ", report.model.name, " has fingerprint ",
                        ToString(report.model.fingerprint), "; the fleet serves ", model.name,
                        " with ", ToString(model.fingerprint));
  }
  return "";
}

// Finds or makes the record of the life that reports, and binds the link to it; null when that life
// is over.
Membership::Worker* Membership::Admit(LinkId link, const Report& report, Time now) {
  auto found = workers_.find(report.name);
  Worker* known = found == workers_.end() ? nullptr : &found->second;
  const bool same_life =
      known != nullptr && (report.incarnation == known->record.incarnation ||
                           (report.incarnation == Incarnation{} && known->newest_link == link));
  const bool newborn = report.incarnation == Incarnation{};
  if (known != nullptr && link < known->newest_link && (same_life || newborn)) {
    // It waited on a link that its worker has let go of. Were the sender another, it must go.
    if (newborn) Fence(link, absl::StrCat("a newer life of ", report.name, " has joined"));
    return nullptr;
  }
  if (!same_life) {
    LearnTerm(report);
    if (known != nullptr && !newborn &&
        (known->named_here || report.incarnation < known->record.incarnation)) {
      Fence(link, absl::StrCat("a newer life of ", report.name, " is ",
                               ToString(known->record.incarnation)));
      return nullptr;
    }
    if (known != nullptr && known->link != 0) {
      Fence(known->link, absl::StrCat("a newer life of ", report.name, " has joined"));
    }
    Worker fresh;
    fresh.record.incarnation = newborn ? Incarnation{term_, next_number_++} : report.incarnation;
    fresh.named_here = newborn;
    fresh.record.assigned = ExpertSet(report.model.grid);
    known = &(workers_[report.name] = std::move(fresh));
    LogInfo(Name(report.role), " worker ", report.name, " ", ToString(known->record.incarnation),
            newborn ? " joins from " : " comes back from ", report.address);
  }
  if (known->link != link) {
    if (known->link != 0) host_->CloseLink(known->link);
    known->link = known->newest_link = link;
    known->record.report.number = 0;  // numbers count per link: a life may have started them anew
    links_[link] = report.name;
  }
  return known;
}

void Membership::LearnTerm(const Report& report) {
  if (report.highest_term == 0) return;
  saw_term_ = true;
  if (report.highest_term < term_) return;
  term_ = report.highest_term + 1;
  LogInfo("term is ", term_, " now: ", report.name, " has seen ", report.highest_term);
  if (topology_ != nullptr) {  // what was published goes on under the new term
    auto renewed = std::make_shared<Topology>(*topology_);
    renewed->epoch = {term_, ++counter_};
    topology_ = std::move(renewed);
    host_->TopologyChanged(topology_);
  }
}

void Membership::Fence(LinkId link, const std::string& why) {
  LogWarning("fenced: ", why);
  Command command;
  command.term = term_;
  command.number = ++command_number_;
  command.fenced = why;
  host_->SendCommand(link, command);
}

// ---- losses

void Membership::OnLinkClosed(LinkId link, Time now) {
  auto bound = links_.find(link);
  if (bound == links_.end()) return;
  const std::string name = bound->second;
  links_.erase(bound);
  auto worker = workers_.find(name);
  if (worker == workers_.end() || worker->second.link != link) return;
  LogWarning("link of ", name, " is broken");
  worker->second.link = 0;
  Lose(worker->second);
  Place(now);
  Publish();
}

void Membership::Tick(Time now) {
  recovered_ = now >= started_ + options_.lease;
  bool lost = false;
  for (auto& [name, worker] : workers_) {
    if (!worker.live() || now < worker.lease_until) continue;
    LogWarning("lease of ", name, " has run out");
    const LinkId link = std::exchange(worker.link, 0);
    Lose(worker);
    lost = true;
    if (link != 0) host_->CloseLink(link);  // it may come back on another
  }
  Place(now);
  if (lost || placed_) Publish();
}

Time Membership::NextWakeup() const {
  Time wake = kNever;
  for (const auto& [name, worker] : workers_) {
    if (worker.live()) wake = std::min(wake, worker.lease_until);
  }
  if (!placed_ && saw_term_ && !recovered_) wake = std::min(wake, started_ + options_.lease);
  return wake;
}

void Membership::Lose(Worker& worker) {
  worker.record.state = WorkerState::kLost;
  // What it was assigned stays on record: if this life comes back, it holds that or is loading it.
}

// ---- placement and topology

ExpertSet Membership::Spoken() const {
  ExpertSet spoken(topology_->model.grid);
  for (const auto& [name, worker] : workers_) {
    if (worker.live() && worker.expert()) spoken.InsertAll(worker.record.assigned);
  }
  return spoken;
}

bool Membership::MayPlace(Time now) const {
  if (placed_) return true;
  if (saw_term_) return now >= started_ + options_.lease;
  const auto joined = std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.live() && entry.second.expert();
  });
  return joined >= options_.initial_expert_workers;
}

std::string Membership::WaitingFor(Time now) const {
  if (MayPlace(now)) return "";
  if (topology_ != nullptr && Uncovered(*topology_).empty()) return "";
  if (saw_term_) return "workers of the running fleet to report (one lease)";
  return absl::StrCat(options_.initial_expert_workers, " expert workers to join");
}

void Membership::Place(Time now) {
  if (topology_ == nullptr || !MayPlace(now)) return;
  const ExpertGrid& grid = topology_->model.grid;
  ExpertSet wanted = ExpertSet::Full(grid);
  wanted.RemoveAll(Spoken());
  if (wanted.empty()) {
    placed_ = true;
    return;
  }
  std::vector<Worker*> takers;
  std::vector<EmptyWorker> rooms;
  for (auto& [name, worker] : workers_) {
    if (!worker.live() || !worker.expert() || worker.link == 0) continue;
    if (!worker.record.assigned.empty()) continue;
    const Report& report = worker.record.report;
    const uint64_t bytes = std::max<uint64_t>(report.model.expert_bytes, 1);
    takers.push_back(&worker);
    rooms.push_back({name, static_cast<int64_t>(report.memory_bytes / bytes)});
  }
  if (takers.empty()) return;
  placed_ = true;
  std::vector<ExpertSet> dealt = DealExperts(wanted, rooms);
  for (size_t i = 0; i < takers.size(); ++i) {
    if (dealt[i].empty()) continue;
    takers[i]->record.assigned = dealt[i];
    LogInfo(rooms[i].name, " is to hold ", dealt[i].size(), " experts: ", dealt[i].ToText());
    SendTo(*takers[i]);
  }
}

// A new epoch if what rows are routed by has changed; then everyone is told. True if so.
bool Membership::Publish() {
  Topology next;
  for (const auto& [name, worker] : workers_) {
    const Report& report = worker.record.report;
    if (next.model.hidden == 0 || worker.expert()) next.model = report.model;
    if (worker.record.state != WorkerState::kReady) continue;
    next.members.push_back({name, report.role, worker.record.incarnation, report.address,
                            report.compute_class, worker.record.state, report.holds});
  }
  if (topology_ != nullptr) next.model = topology_->model;
  std::stable_sort(next.members.begin(), next.members.end(),
                   [](const Member& a, const Member& b) { return a.role < b.role; });
  if (topology_ != nullptr) next.epoch = topology_->epoch;
  if (topology_ != nullptr && next == *topology_) return false;
  next.epoch = {term_, ++counter_};
  topology_ = std::make_shared<const Topology>(std::move(next));
  LogInfo("topology ", ToString(topology_->epoch), ": ", topology_->members.size(),
          " workers ready; uncovered: ", Uncovered(*topology_).ToText());
  host_->TopologyChanged(topology_);
  for (auto& [name, worker] : workers_) SendTo(worker);
  return true;
}

void Membership::SendTo(Worker& worker) {
  if (worker.link == 0) return;
  Command command;
  command.term = term_;
  command.number = ++command_number_;
  command.incarnation = worker.record.incarnation;
  command.lease = options_.lease;
  if (worker.expert()) command.assigned = worker.record.assigned;
  if (topology_ != nullptr && worker.record.report.epoch < topology_->epoch) {
    command.topology = topology_;
  }
  host_->SendCommand(worker.link, command);
}

std::map<std::string, WorkerRecord> Membership::Records() const {
  std::map<std::string, WorkerRecord> records;
  for (const auto& [name, worker] : workers_) records[name] = worker.record;
  return records;
}

}  // namespace expertmesh
