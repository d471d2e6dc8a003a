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

void CoverageWatch::OnCommandSent(Process& coordinator, const Command& command) {
  if (command.assigned.grid().layers == 0) return;  // says nothing
  const auto [known, first] =
      assigned_.try_emplace({coordinator.label(), command.incarnation}, command.assigned);
  if (first || known->second == command.assigned) return;
  if (ExpertSet missing = Missing(known->second, command.assigned); !missing.empty()) {
    coordinator.world().Violate(
        "assigned_never_shrinks",
        absl::StrCat(coordinator.label(), " takes from ", ToString(command.incarnation), ": ",
                     missing.ToText()));
  }
  known->second = command.assigned;
}

void CoverageWatch::Inspect(Process& worker, const ExpertNode& node) {
  ExpertSet& held = held_[worker.label()];
  if (held == node.holds()) return;
  if (ExpertSet missing = Missing(held, node.holds()); !missing.empty()) {
    worker.world().Violate("held_never_shrinks",
                           absl::StrCat(worker.label(), " no longer holds ", missing.ToText()));
  }
  held = node.holds();
}

void CoverageWatch::OnTopology(Process& coordinator, const Topology& topology,
                               const LifeWatch& lives) {
  for (const Member& member : topology.members) {
    if (member.role != WorkerRole::kExpert) continue;
    const std::string label = lives.LabelOf(member.name, member.incarnation);
    const ExpertSet missing = Missing(member.holds, held_[label]);
    if (missing.empty()) continue;
    coordinator.world().Violate(
        "published_is_held",
        absl::StrCat("topology ", ToString(topology.epoch), " says that ", member.name, " ",
                     ToString(member.incarnation), " holds ", missing.ToText(), "; it does not"));
  }
}

}  // namespace expertmesh::simulation
