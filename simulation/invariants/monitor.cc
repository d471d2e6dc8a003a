#include "simulation/invariants/monitor.h"

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {
namespace {

constexpr int32_t kMostPreemptions = 8;  // of one sequence

}  // namespace

void Monitor::OnReport(Process& worker, const Report& report) {
  terms_.OnReport(worker, report);
  lives_.OnReport(worker, report);
}

void Monitor::OnCommandSent(Process& coordinator, const Membership& control,
                            const Command& command) {
  if (command.fenced.empty()) coverage_.OnCommandSent(coordinator, control, command);
}

void Monitor::OnCommandArrives(Process& worker, Process& coordinator, const Command& command) {
  terms_.OnCommandArrives(worker, coordinator, command);
  lives_.OnCommandArrives(worker, command);
  coverage_.OnCommandArrives(worker, command);
}

void Monitor::OnTopology(Process& coordinator, const Topology& topology) {
  coverage_.OnTopology(coordinator, topology, lives_);
}

// applied_once: no call that is answered twice is applied twice.
void Monitor::OnCombineApplied(Process& attention, const CallId& call) {
  if (applied_.emplace(attention.label(), call).second) return;
  attention.world().Violate("applied_once", absl::StrCat(attention.label(), " applied combine ",
                                                         ToString(call), " a second time"));
}

// no_block_leaked: each reference to a block of the cache is somebody's, and without sequences none
// is used. few_preemptions: nobody is sent back again and again.
void Monitor::InspectAttention(Process& process, const AttentionNode& node) {
  if (absl::Status account = node.CheckCache(); !account.ok()) {
    process.world().Violate("no_block_leaked",
                            absl::StrCat(process.label(), ": ", account.message()));
  }
  if (node.most_preemptions() > kMostPreemptions) {
    process.world().Violate("few_preemptions",
                            absl::StrCat(process.label(), " has preempted one sequence ",
                                         node.most_preemptions(), " times"));
  }
  CheckRetries(process, node.dispatcher());
  if (node.sequences() != 0 || node.used_blocks() == 0) return;
  process.world().Violate("no_block_leaked", absl::StrCat(process.label(), " has no sequence, and ",
                                                          node.used_blocks(), " blocks are taken"));
}

// retries_in_budget: since it began, a worker has sent no more again than a share of its first
// calls and what time allows.
void Monitor::CheckRetries(Process& process, const Dispatcher& dispatcher) {
  const auto [begun, first] = begun_.try_emplace(process.label(), process.now());
  const std::chrono::duration<double> lived = process.now() - begun->second;
  const RetryBudgetOptions& budget = dispatcher.budget();
  const double allowed = budget.most + budget.per_second * lived.count() +
                         budget.share * static_cast<double>(dispatcher.first_calls());
  const uint64_t again = dispatcher.retries() + dispatcher.hedges();
  if (static_cast<double>(again) <= allowed + 1e-6) return;
  process.world().Violate(
      "retries_in_budget",
      absl::StrCat(process.label(), " has sent ", again, " calls again, after ",
                   dispatcher.first_calls(), " first ones in ", lived.count(), " s"));
}

void Monitor::InspectExpert(Process& process, const ExpertNode& node) {
  coverage_.Inspect(process, node);
}

}  // namespace expertmesh::simulation
