#include "simulation/invariants/lives.h"

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {

void LifeWatch::OnStarted(const Process& process) {
  std::set<const Process*>& lives = running_[process.identity().name];
  std::erase_if(lives, [](const Process* life) { return !life->alive(); });
  lives.insert(&process);
  if (lives.size() < 2) return;
  for (const Process* life : lives) doubled_.insert(life->label());
}

void LifeWatch::OnReport(Process& worker, const Report& report) {
  if (report.incarnation == Incarnation{}) return;
  const auto [label, first] =
      labels_.try_emplace({report.name, report.incarnation}, worker.label());
  if (first || label->second == worker.label()) return;
  worker.world().Violate("one_life_per_incarnation",
                         absl::StrCat(worker.label(), " and ", label->second, " are both ",
                                      ToString(report.incarnation)));
}

void LifeWatch::OnCommandArrives(Process& worker, const Command& command) {
  if (command.fenced.empty() || doubled_.contains(worker.label())) return;
  worker.world().Violate("fenced_only_when_doubled",
                         absl::StrCat(worker.label(), " is told: ", command.fenced,
                                      "; but there was never another life beside it"));
}

std::string LifeWatch::LabelOf(const std::string& name, Incarnation incarnation) const {
  auto found = labels_.find({name, incarnation});
  return found == labels_.end() ? "" : found->second;
}

}  // namespace expertmesh::simulation
