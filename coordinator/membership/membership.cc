#include "coordinator/membership/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "coordinator/membership/publication.h"
#include "coordinator/placement/placement.h"

namespace expertmesh {
namespace {

// Pauses of control that a worker which says nothing is not held to. A control that is always late
// must still lose those who are gone.
constexpr int kMostForgiven = 4;

}  // namespace

Membership::Membership(MembershipOptions options, MembershipHost* host, Time now)
    : options_(options),
      host_(host),
      recovery_ends_(now + options.lease),
      next_number_(options.first_number) {}

void Membership::OnLinkOpened(LinkId link) { links_[link] = ""; }

// ---- reports

void Membership::OnReport(LinkId link, const Report& report, Time now) {
  if (!links_.contains(link)) return;
  if (report.highest_term > term_ && report.highest_term >= kMaxTerm) {
    LogWarning(report.name, " has seen term ", report.highest_term, "; at most ", kMaxTerm - 1);
    return host_->CloseLink(link);
  }
  if (report.highest_term > term_) RaiseTerm(report);  // else nothing that we say is obeyed
  if (std::string why = RefusalOf(report, now); !why.empty()) return Fence(link, why);
  Worker* worker = Admit(link, report, now);
  if (worker == nullptr) return;
  worker->lease_until = now + options_.lease;
  worker->forgiven = 0;
  if (report.number <= worker->record.report.number) return;  // overtaken by a newer one
  WorkerRecord& record = worker->record;
  record.report = report;
  record.state = report.state;
  for (const ExpertSet* set : {&report.holds, &report.loading}) {
    if (set->grid() == record.assigned.grid()) record.assigned.InsertAll(*set);
  }
  Place();
  if (!Publish()) SendTo(*worker);
}

// Why this worker may not be in the fleet at all; empty when it may.
std::string Membership::RefusalOf(const Report& report, Time now) {
  if (report.name.empty()) return "a worker needs a name";
  if (!model_.has_value()) return "";
  if (report.model.fingerprint == model_->fingerprint && report.model.grid == model_->grid) {
    return "";
  }
  if (ModelIsFree(now) || Outvotes(report)) {
    StartOver();
    return "";
  }
  return absl::StrCat("its model ", report.model.name, " has fingerprint ",
                      ToString(report.model.fingerprint), "; the fleet serves ", model_->name,
                      " with ", ToString(model_->fingerprint));
}

bool Membership::AnyLive() const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& entry) { return entry.second.live(); });
}

bool Membership::ModelIsFree(Time now) const {
  return std::all_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    const Worker& worker = entry.second;
    return !worker.live() && now >= worker.lease_until + options_.lease;
  });
}

bool Membership::Outvotes(const Report& report) const {
  return !recovered_ && report.incarnation != Incarnation{} &&
         std::all_of(workers_.begin(), workers_.end(), [](const auto& entry) {
           const Worker& worker = entry.second;
           return !worker.live() || (worker.named_here && worker.record.report.holds.empty());
         });
}

// The model that we took for the fleet's is not: whoever has it goes.
void Membership::StartOver() {
  LogInfo("model ", model_->name, " is no longer the fleet's");
  for (auto& [name, worker] : workers_) {
    if (worker.link == 0) continue;
    Fence(worker.link, absl::StrCat("its model ", model_->name, " is not the fleet's"));
    links_[worker.link] = "";
  }
  workers_.clear();
  model_.reset();
  topology_.reset();
  saw_term_ = placed_ = false;
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
    saw_term_ |= report.highest_term > 0;
    RaiseTerm(report);
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
    if (!model_.has_value()) model_ = report.model;
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

void Membership::RaiseTerm(const Report& report) {
  if (report.highest_term < term_ || report.highest_term >= kMaxTerm) return;
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
  Lose(worker->second, now);
  Place();
  Publish();
}

void Membership::Tick(Time now) {
  ForgivePause(now);
  const bool recovers = !recovered_ && now >= recovery_ends_;
  recovered_ = recovered_ || recovers;
  bool lost = false;
  for (auto& [name, worker] : workers_) {
    if (!worker.live() || now < worker.lease_until) continue;
    LogWarning("lease of ", name, " has run out");
    const LinkId link = std::exchange(worker.link, 0);
    Lose(worker, now);
    lost = true;
    if (link != 0) host_->CloseLink(link);  // it may come back on another
  }
  std::erase_if(workers_, [&](const auto& entry) {
    return !entry.second.live() && now >= entry.second.lease_until + options_.forget_lost;
  });
  next_tick_ = AnyLive() ? now + options_.lease / 8 : kNever;
  if (!lost && !recovers) return;
  Place();
  Publish();
}

// For as long as we were paused we heard nobody, and that is not held against the workers.
void Membership::ForgivePause(Time now) {
  if (next_tick_ == kNever || now < next_tick_ + options_.lease / 4) return;
  LogWarning("control was paused for ",
             std::chrono::duration_cast<std::chrono::milliseconds>(now - next_tick_).count(),
             " ms");
  const Time second_chance = now + options_.lease / 2;
  for (auto& [name, worker] : workers_) {
    if (!worker.live() || worker.forgiven == kMostForgiven) continue;
    ++worker.forgiven;
    worker.lease_until = std::max(worker.lease_until, second_chance);
  }
  if (!recovered_) recovery_ends_ = std::max(recovery_ends_, second_chance);
}

Time Membership::NextWakeup() const {
  Time wake = recovered_ ? next_tick_ : std::min(next_tick_, recovery_ends_);
  for (const auto& [name, worker] : workers_) {
    wake = std::min(wake,
                    worker.live() ? worker.lease_until : worker.lease_until + options_.forget_lost);
  }
  return wake;
}

void Membership::Lose(Worker& worker, Time now) {
  worker.record.state = WorkerState::kLost;
  worker.lease_until = now;
  // What it was assigned stays on record: if this life comes back, it holds that or is loading it.
}

// ---- placement and topology

ExpertSet Membership::Spoken() const {
  ExpertSet spoken(model_->grid);
  for (const auto& [name, worker] : workers_) {
    if (worker.live() && worker.expert()) spoken.InsertAll(worker.record.assigned);
  }
  return spoken;
}

bool Membership::MayPlace() const {
  if (placed_) return true;
  if (saw_term_) return recovered_;
  const auto joined = std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.live() && entry.second.expert();
  });
  return joined >= options_.initial_expert_workers;
}

std::string Membership::WaitingFor() const {
  if (MayPlace()) return "";
  if (topology_ != nullptr && Uncovered(*topology_).empty()) return "";
  if (saw_term_) return "workers of the running fleet to report (one lease)";
  return absl::StrCat(options_.initial_expert_workers, " expert workers to join");
}

void Membership::Place() {
  if (!model_.has_value() || !MayPlace()) return;
  const ExpertGrid& grid = model_->grid;
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

bool Membership::MayPublish(const Topology& next) const {
  return topology_ != nullptr || recovered_ || Uncovered(next).empty();
}

// A new epoch if what rows are routed by has changed; then everyone is told. True if so.
bool Membership::Publish() {
  if (!model_.has_value()) return false;
  std::vector<Member> ready;
  for (auto& [name, worker] : workers_) {
    worker.record.note.clear();
    const Report& report = worker.record.report;
    if (worker.record.state != WorkerState::kReady) continue;
    ready.push_back({name, report.role, worker.record.incarnation, report.address,
                     report.compute_class, worker.record.state, report.holds});
  }
  Topology next;
  next.model = *model_;
  std::map<std::string, std::string> notes;
  next.members = ListMembers(std::move(ready), topology_.get(), &notes);
  for (auto& [name, note] : notes) workers_[name].record.note = note;
  if (!MayPublish(next)) return false;
  if (topology_ != nullptr) next.epoch = topology_->epoch;
  if (topology_ != nullptr && next == *topology_) return false;
  next.epoch = {term_, ++counter_};
  topology_ = std::make_shared<const Topology>(std::move(next));
  LogInfo("topology ", ToString(topology_->epoch), ": ", topology_->members.size(),
          " workers ready; uncovered: ", Uncovered(*topology_).ToText());
  for (const auto& [name, note] : notes) LogWarning(name, " is ", note);
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
