#include "simulation/plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr double kFaultless = 0.12;  // of the seeds
constexpr double kNearFault = 0.4;   // of the requests
constexpr Duration kBeforeFault = milliseconds(20);
constexpr double kCrowd = 0.3;  // of plans: all requests come at once
constexpr Duration kCrowdTime = std::chrono::milliseconds(50);
constexpr double kSlow = 0.1;  // of the seeds: work takes longer than silence may

ComputePace DrawPace(Random& chance, bool slow) {
  ComputePace pace;
  pace.load_least = milliseconds(10);
  pace.load_most = milliseconds(chance.Between(20, 1500));
  pace.work_least = microseconds(20);
  pace.work_most = microseconds(chance.Between(100, 2000));
  if (slow) pace.work_most = milliseconds(chance.Between(100, 1600));
  return pace;
}

AttentionSettings DrawAttention(Random& chance, const StubModel& model, bool slow) {
  AttentionSettings settings;
  settings.block_rows = static_cast<int32_t>(chance.Between(1, 8));
  const int32_t for_one =
      (model.limits.max_context + settings.block_rows - 1) / settings.block_rows;
  // Often there is hardly more than the longest sequence needs: then they push each other out.
  settings.blocks =
      static_cast<int32_t>(chance.Between(for_one, chance.Chance(0.5) ? for_one + 2 : 6 * for_one));
  SchedulerLimits& scheduler = settings.batch.scheduler;
  scheduler.prefill_chunk = static_cast<int32_t>(chance.Between(1, 12));
  scheduler.max_step_rows = static_cast<int32_t>(chance.Between(4, 32));
  settings.batch.max_sequences =
      static_cast<int32_t>(chance.Between(1, std::min(8, scheduler.max_step_rows)));
  settings.max_waiting = chance.Chance(0.1) ? 3 : 64;
  settings.pace = DrawPace(chance, slow);
  const double most = static_cast<double>(chance.Between(1, 3));  // little, so that it is felt
  settings.retries = {.share = 0.01, .per_second = most / 2, .most = most};
  if (chance.Chance(0.7)) settings.retries = {.share = 0.1, .per_second = 10, .most = 16};
  settings.kept.grace = milliseconds(chance.Chance(0.1) ? 0 : chance.Between(10, 3000));
  settings.kept.most_ahead = static_cast<size_t>(chance.Between(1, 8));
  settings.kept.most_detached = static_cast<size_t>(chance.Between(1, 8));
  settings.hedge_after = milliseconds(chance.Chance(0.2) ? 0 : chance.Between(1, 100));
  settings.coverage_wait = milliseconds(chance.Chance(0.5) ? 30000 : chance.Between(100, 5000));
  return settings;
}

// Some requests come just before a fault, so that it meets them on their way.
void MoveToFaults(Random& chance, Plan& plan) {
  if (plan.faults.empty()) return;
  for (RequestPlan& request : plan.requests) {
    if (!chance.Chance(kNearFault)) continue;
    const Duration at = plan.faults[chance.Below(plan.faults.size())].at;
    request.at = std::max(Duration(0), at - chance.Between(Duration(0), kBeforeFault));
  }
}

void DrawFleet(Random& chance, Plan& plan) {
  const int64_t attention = chance.Between(1, 3);
  const int64_t experts = chance.Between(1, 4);
  for (int64_t i = 0; i < attention; ++i) plan.attention_names.push_back(absl::StrCat("a", i));
  for (int64_t i = 0; i < experts; ++i) plan.expert_names.push_back(absl::StrCat("e", i));
  plan.initial_expert_workers = static_cast<int32_t>(chance.Between(1, experts));
  plan.late_most = milliseconds(chance.Between(1, 400));
  plan.balance.settle = milliseconds(chance.Between(100, 3000));
  plan.balance.rebalance_period = milliseconds(chance.Between(500, 5000));
  // Room for all on each, or for little more than everything on all together.
  const int64_t share = (plan.model.grid.size() + experts - 1) / experts;
  if (chance.Chance(0.5)) {
    plan.expert.room = static_cast<uint64_t>(chance.Between(share, 2 * share));
  }
}

}  // namespace

std::vector<std::string> Plan::Names() const {
  std::vector<std::string> names = {kCoordinatorName};
  names.insert(names.end(), attention_names.begin(), attention_names.end());
  names.insert(names.end(), expert_names.begin(), expert_names.end());
  return names;
}

Plan DrawPlan(uint64_t seed) {
  Random chance = Random(seed).Fork(0);
  Plan plan;
  plan.seed = seed;
  plan.model = StubModel::Draw(chance);
  DrawFleet(chance, plan);
  const bool slow = chance.Chance(kSlow);
  plan.attention = DrawAttention(chance, plan.model, slow && chance.Chance(0.5));
  plan.expert.max_pass_rows = static_cast<size_t>(chance.Between(1, 32));
  plan.expert.pace = DrawPace(chance, slow);
  plan.busy = milliseconds(chance.Between(2000, 12000));
  if (!chance.Chance(kFaultless)) {
    const int count = static_cast<int>(chance.Between(1, 20));
    plan.faults = DrawFaults(chance, plan.Names(), count, plan.busy);
  }
  const Duration spread = chance.Chance(kCrowd) ? kCrowdTime : plan.busy;
  plan.requests = slow ? DrawRequests(chance, plan.model, spread, 6, 4)
                       : DrawRequests(chance, plan.model, spread, 50, 20);
  MoveToFaults(chance, plan);
  plan.patience = std::chrono::seconds(slow ? 200 : 60);
  return plan;
}

}  // namespace expertmesh::simulation
