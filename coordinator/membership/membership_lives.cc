// Membership: which lives there are: who is let in, under which name and term, and who must go.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/mutant.h"
#include "coordinator/membership/membership.h"

namespace expertmesh {

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
  rollout_ = Rollout();
  book_.reset();
  loads_.clear();
  EndFreeze();
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
    fresh.record.state = WorkerState::kLost;  // until its report is looked at
    fresh.record.assigned = fresh.record.retiring = ExpertSet(report.model.grid);
    fresh.record.orders = OrdersOf(report.name);
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
  if (Mutant("no_fencing")) return;
  LogWarning("fenced: ", why);
  Command command;
  command.term = term_;
  command.number = ++command_number_;
  command.fenced = why;
  host_->SendCommand(link, command);
}

}  // namespace expertmesh
