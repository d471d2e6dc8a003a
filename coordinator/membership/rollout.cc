#include "coordinator/membership/rollout.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/log.h"
#include "common/mutant.h"

namespace expertmesh {
namespace {

ExpertSet Minus(ExpertSet set, const ExpertSet& other) {
  if (set.grid() == other.grid()) set.RemoveAll(other);
  return set;
}

// What of `set` is in `other` too.
ExpertSet Common(const ExpertSet& set, const ExpertSet& other) {
  return Minus(set, Minus(set, other));
}

int64_t RoomOf(const WorkerRecord& record) {
  const Report& report = record.report;
  const int64_t most =
      static_cast<int64_t>(report.memory_bytes / std::max<uint64_t>(report.model.expert_bytes, 1));
  // What it was told to unload, and has not yet.
  const int64_t going = Minus(record.report.holds, record.assigned).size();
  return std::max<int64_t>(0, most - going);
}

// What others hold and are to keep.
ExpertSet HeldElsewhere(const Rollout::Fleet& fleet, const WorkerRecord* but) {
  ExpertSet held(fleet.grid);
  for (const WorkerRecord* record : fleet.experts) {
    if (record == but || !Serves(record->state)) continue;
    held.InsertAll(Minus(Common(record->assigned, record->report.holds), record->retiring));
  }
  return held;
}

// What others that serve are published with.
ExpertSet HeldByOthers(const Topology& published, const WorkerRecord& record) {
  ExpertSet held(published.model.grid);
  for (const Member& member : published.members) {
    const bool other = member.name != record.report.name && Serves(member.state);
    if (other && member.holds.grid() == held.grid()) held.InsertAll(member.holds);
  }
  return held;
}

}  // namespace

PlacementInput Rollout::InputOf(const Fleet& fleet) {
  PlacementInput input;
  input.grid = fleet.grid;
  if (!fleet.experts.empty()) {
    const ModelIdentity& model = fleet.experts.front()->report.model;
    input.routing = {model.groups, model.chosen_groups, model.top_k};
    input.expert_bytes = model.expert_bytes;
  }
  input.loads = fleet.loads;
  std::map<ComputeClass, int32_t> classes;
  for (const WorkerRecord* record : fleet.experts) {
    classes.emplace(record->report.compute_class, static_cast<int32_t>(classes.size()));
  }
  for (const WorkerRecord* record : fleet.experts) {
    PlacementWorker worker;
    worker.name = record->report.name;
    worker.room = RoomOf(*record);
    worker.compute_class = classes.at(record->report.compute_class);
    worker.holds = Common(record->assigned, record->report.holds);
    worker.loading = Minus(record->assigned, record->report.holds);
    worker.pinned = record->orders.pinned;
    worker.cordoned = record->orders.cordoned;
    worker.draining = record->draining();
    input.workers.push_back(std::move(worker));
  }
  return input;
}

// ---- the steps

bool Rollout::PlanRound(Fleet& fleet) {
  const bool next = (more_ || balance_wanted_) && Settled(fleet);
  if (!cover_wanted_ && !next) return false;
  // Balance only from rest: it would wait for what covers.
  PlanOptions options;
  options.balance = balance_wanted_ && !cover_wanted_;
  options.max_rounds = 2;  // this one, and whether there is another
  const Plan plan = PlanPlacement(InputOf(fleet), options);
  for (const std::string& unsolved : plan.unsolved) LogWarning("placement: ", unsolved);
  if (!options.balance) {
    cover_wanted_ = false;
  } else {
    balance_wanted_ = !plan.rounds.empty();
  }
  more_ = plan.rounds.size() > 1;
  Begin(plan.rounds.empty() ? Round() : plan.rounds.front(), fleet);
  return true;
}

void Rollout::Load(WorkerRecord& record, const ExpertSet& experts) {
  // What it was told to unload it may still report, and unload after that: it gets it again when it
  // has said that it is gone.
  const ExpertSet going = Minus(record.report.holds, record.assigned);
  const ExpertSet loads = Minus(experts, going);
  cover_wanted_ |= loads.size() < experts.size();
  if (loads.empty()) return;
  record.assigned.InsertAll(loads);
  LogInfo(record.report.name, " is to hold ", loads.size(), " more experts: ", loads.ToText());
}

void Rollout::Begin(const Round& round, Fleet& fleet) {
  if (!round.empty()) ++rounds_;
  to_retire_ = round.unloads;
  loads_in_.reset();
  for (WorkerRecord* record : fleet.experts) {
    const std::string& name = record->report.name;
    const auto loads = round.loads.find(name);
    if (loads != round.loads.end()) Load(*record, loads->second);
    // What is on its way out and not meant to go any more stays.
    const auto unloads = round.unloads.find(name);
    const ExpertSet still = unloads == round.unloads.end()
                                ? ExpertSet(fleet.grid)
                                : Common(record->retiring, unloads->second);
    if (still.size() != record->retiring.size()) {
      record->retiring = still;
      record->retired_in = Epoch();
    }
  }
}

// All that anybody is to hold is held, and nobody has what it is not to hold.
bool Rollout::Settled(const Fleet& fleet) const {
  return to_retire_.empty() &&
         std::all_of(fleet.experts.begin(), fleet.experts.end(), [](const WorkerRecord* record) {
           return record->retiring.empty() && record->assigned == record->report.holds;
         });
}

bool Rollout::idle(const Fleet& fleet) const {
  return !cover_wanted_ && !balance_wanted_ && !more_ && Settled(fleet);
}

bool Rollout::Retire(Fleet& fleet, const Topology& published) {
  if (to_retire_.empty()) return false;
  for (const WorkerRecord* record : fleet.experts) {
    if (!Minus(record->assigned, record->report.holds).empty()) return false;  // loads
  }
  if (!loads_in_.has_value()) loads_in_ = published.epoch;
  if (fleet.oldest_worked_by.has_value() && *fleet.oldest_worked_by < *loads_in_) return false;
  const ExpertsByWorker round = std::exchange(to_retire_, {});
  bool changed = false;
  for (WorkerRecord* record : fleet.experts) {
    const auto unloads = round.find(record->report.name);
    if (unloads == round.end()) continue;
    ExpertSet all = Common(Common(unloads->second, record->assigned), HeldElsewhere(fleet, record));
    if (all.empty()) continue;
    LogInfo(record->report.name, " retires from ", all.size(), " experts: ", all.ToText());
    if (record->retiring.grid() == all.grid()) all.InsertAll(record->retiring);
    record->retiring = std::move(all);
    record->retired_in = Epoch();
    changed = true;
  }
  return changed;
}

bool Rollout::Unload(Fleet& fleet, const Topology& published) {
  bool changed = false;
  for (WorkerRecord* record : fleet.experts) {
    if (record->retiring.empty()) continue;
    const ExpertSet safe = Common(record->retiring, HeldByOthers(published, *record));
    if (safe.size() != record->retiring.size()) {  // who was to take over is gone
      LogWarning(record->report.name, " is needed again for ",
                 Minus(record->retiring, safe).ToText());
      record->retiring = safe;
      record->retired_in = Epoch();
      changed = true;
      continue;  // published without the rest, before anything goes
    }
    if (record->retired_in == Epoch()) {
      record->retired_in = published.epoch;
      changed = true;
    }
    const bool asked =
        fleet.oldest_worked_by.has_value() && *fleet.oldest_worked_by < record->retired_in;
    if (asked && !Mutant("unload_before_ack")) continue;
    record->assigned.RemoveAll(record->retiring);
    record->retiring = ExpertSet(record->assigned.grid());
    record->retired_in = Epoch();
    changed = true;
  }
  return changed;
}

}  // namespace expertmesh
