#include "simulation/invariants/coverage.h"

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {
namespace {

// What of `before` is not in `after`; all of it when the grids differ.
ExpertSet Missing(const ExpertSet& before, const ExpertSet& after) {
  ExpertSet missing = before;
  if (before.grid() == after.grid()) missing.RemoveAll(after);
  return missing;
}

}  // namespace

// released_when_relieved
void CoverageWatch::CheckReleased(Process& coordinator, const Membership& control,
                                  const Command& command) {
  bool asked = false, holds = false;
  for (const auto& [name, record] : control.Records()) {
    const bool expert = record.report.role == WorkerRole::kExpert;
    asked |= !expert && record.state != WorkerState::kGone;
    holds |= expert && record.incarnation == command.incarnation && !record.report.holds.empty();
  }
  if (!asked || !holds) return;
  coordinator.world().Violate("released_when_relieved",
                              absl::StrCat(coordinator.label(), " lets ",
                                           ToString(command.incarnation), " go with its experts"));
}

void CoverageWatch::OnCommandSent(Process& coordinator, const Membership& control,
                                  const Command& command) {
  if (command.released) CheckReleased(coordinator, control, command);
  if (command.assigned.grid().layers == 0) return;  // says nothing
  const auto [known, first] =
      assigned_.try_emplace({coordinator.label(), command.incarnation}, command.assigned);
  if (first || known->second == command.assigned) return;
  const ExpertSet taken = Missing(known->second, command.assigned);
  known->second = command.assigned;
  if (taken.empty()) return;
  for (const auto& [name, record] : control.Records()) {
    if (record.incarnation == command.incarnation && record.report.role == WorkerRole::kExpert) {
      CheckTaken(coordinator, control, record, taken);
    }
  }
}

void CoverageWatch::CheckTaken(Process& coordinator, const Membership& control,
                               const WorkerRecord& from, const ExpertSet& taken) {
  const std::string what =
      absl::StrCat(coordinator.label(), " takes from ", from.report.name, ": ", taken.ToText());
  ExpertSet alone = taken;
  for (const Member& member : control.topology()->members) {
    if (member.role == WorkerRole::kExpert && member.incarnation != from.incarnation) {
      alone = Missing(alone, member.holds);
    }
  }
  if (!alone.empty()) {
    coordinator.world().Violate("unloads_only_what_others_hold",
                                absl::StrCat(what, "; nobody else has ", alone.ToText()));
  }
  for (const auto& [name, record] : control.Records()) {
    const bool lost = record.state == WorkerState::kLost || record.state == WorkerState::kGone;
    if (lost || record.report.role != WorkerRole::kAttention) continue;
    const auto works_by = published_.find(record.report.epoch);
    if (works_by == published_.end()) continue;  // it has none yet
    for (const Member& member : works_by->second.members) {
      if (member.incarnation != from.incarnation) continue;
      if (Missing(taken, member.holds).size() == taken.size()) continue;
      coordinator.world().Violate(
          "unloads_only_what_nobody_asks_for",
          absl::StrCat(what, "; ", name, " works by ", ToString(record.report.epoch)));
    }
  }
}

void CoverageWatch::OnCommandArrives(Process& worker, const Command& command) {
  if (command.assigned.grid().layers == 0) return;
  Held& held = held_[worker.label()];
  held.told = Missing(held.told, Missing(held.told, command.assigned));
}

void CoverageWatch::Inspect(Process& worker, const ExpertNode& node) {
  Held& held = held_[worker.label()];
  if (held.holds == node.holds()) return;
  const ExpertSet gone = Missing(held.holds, node.holds());
  // What it was told of in every command since it came to hold it.
  const ExpertSet kept = Missing(gone, Missing(gone, held.told));
  if (!kept.empty()) {
    worker.world().Violate("held_shrinks_by_command",
                           absl::StrCat(worker.label(), " no longer holds ", kept.ToText()));
  }
  ExpertSet come = Missing(node.holds(), held.holds);
  held.holds = node.holds();
  if (held.told.grid() == come.grid()) come.InsertAll(held.told);
  held.told = Missing(come, Missing(come, held.holds));
}

void CoverageWatch::OnTopology(Process& coordinator, const Topology& topology,
                               const LifeWatch& lives) {
  published_[topology.epoch] = topology;
  for (const Member& member : topology.members) {
    if (member.role != WorkerRole::kExpert) continue;
    const std::string label = lives.LabelOf(member.name, member.incarnation);
    const ExpertSet missing = Missing(member.holds, held_[label].holds);
    if (missing.empty()) continue;
    coordinator.world().Violate(
        "published_is_held",
        absl::StrCat("topology ", ToString(topology.epoch), " says that ", member.name, " ",
                     ToString(member.incarnation), " holds ", missing.ToText(), "; it does not"));
  }
}

}  // namespace expertmesh::simulation
