#include "simulation/invariants/terms.h"

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {

void TermWatch::OnReport(Process& worker, const Report& report) {
  Seen& seen = seen_[worker.label()];
  const bool forward =
      report.highest_term >= seen.term && report.epoch >= seen.epoch && report.number > seen.number;
  if (!forward) {
    worker.world().Violate(
        "terms_never_go_back",
        absl::StrCat(worker.label(), " reports term ", report.highest_term, ", epoch ",
                     ToString(report.epoch), ", number ", report.number, " after ", seen.term, ", ",
                     ToString(seen.epoch), ", ", seen.number));
  }
  seen = {report.highest_term, report.epoch, report.number};
}

void TermWatch::OnCommandArrives(Process& worker, Process& coordinator, const Command& command) {
  uint64_t& highest = obeys_[worker.label()];
  if (command.term < highest) return;  // refused
  highest = command.term;
  const auto [owner, first] =
      owners_.try_emplace({worker.label(), command.term}, coordinator.label());
  if (first || owner->second == coordinator.label()) return;
  worker.world().Violate("one_owner_per_term",
                         absl::StrCat(worker.label(), " gets commands of term ", command.term,
                                      " from ", owner->second, " and ", coordinator.label()));
}

}  // namespace expertmesh::simulation
