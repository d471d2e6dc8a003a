// placement_plan.cc: what a plan costs, how even it is, and what it moves, on the named traces.
//
//   bench_placement_plan [repeats]      a Markdown table on stdout
//
// Time is processor time of one thread, the best of `repeats`. EPLB: max/mean of the worst layer by
// the published greedy with equal slots. A layer's ratio is ours over EPLB's in that layer.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "coordinator/placement/board.h"
#include "coordinator/placement/plan.h"
#include "coordinator/placement/test_eplb.h"
#include "coordinator/placement/test_traces.h"

namespace expertmesh {
namespace {

struct Shape {
  const char* name;
  ExpertGrid grid;
  int32_t workers, slots;
};

const Shape kShapes[] = {{"26 x 64 on 8", {1, 26, 64}, 8, 10},
                         {"59 x 160 on 16", {1, 59, 160}, 16, 12},
                         {"59 x 160 on 32", {1, 59, 160}, 32, 6},
                         {"60 x 160 on 320", {1, 60, 160}, 320, 1}};

double ProcessorMs() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

PlacementInput After(PlacementInput fleet, const Plan& plan) {
  for (PlacementWorker& worker : fleet.workers) {
    if (!(worker.holds.grid() == fleet.grid)) worker.holds = ExpertSet(fleet.grid);
    for (const Round& round : plan.rounds) {
      const auto loads = round.loads.find(worker.name), unloads = round.unloads.find(worker.name);
      if (loads != round.loads.end()) worker.holds.InsertAll(loads->second);
      if (unloads != round.unloads.end()) worker.holds.RemoveAll(unloads->second);
    }
  }
  return fleet;
}

PlacementInput Emptied(PlacementInput fleet) {
  for (PlacementWorker& worker : fleet.workers) worker.holds = ExpertSet(fleet.grid);
  return fleet;
}

// Experts that a plan which ignores the placement would load where they are not.
int64_t FromScratch(const PlacementInput& fleet, const PlanOptions& options) {
  const PlacementInput nothing = Emptied(fleet);
  const PlacementInput anew = After(nothing, PlanPlacement(nothing, options));
  int64_t moved = 0;
  for (size_t w = 0; w < fleet.workers.size(); ++w) {
    ExpertSet fresh = anew.workers[w].holds;
    if (fleet.workers[w].holds.grid() == fleet.grid) fresh.RemoveAll(fleet.workers[w].holds);
    moved += fresh.size();
  }
  return moved;
}

// One line of the table; gives the fleet after the plan.
PlacementInput Report(const Shape& shape, const std::string& trace, const char* event,
                      const PlacementInput& fleet, int repeats) {
  PlanOptions options;
  options.balance = true;
  Plan plan;
  double best = 1e300;
  for (int i = 0; i < repeats; ++i) {
    const double begin = ProcessorMs();
    plan = PlanPlacement(fleet, options);
    best = std::min(best, ProcessorMs() - begin);
  }
  const PlacementInput end = After(fleet, plan);
  const Board board(end, 0);
  double theirs = 1, ratio = 0;
  // A worker less: EPLB gets a slot more where its equal slots would not suffice.
  const int32_t serving = board.serving();
  const int32_t slots = serving * shape.slots < shape.grid.experts ? shape.slots + 1 : shape.slots;
  for (int32_t layer = 0; layer < shape.grid.layers; ++layer) {
    const auto loads = absl::MakeConstSpan(end.loads).subspan(int64_t{layer} * shape.grid.experts,
                                                              shape.grid.experts);
    const double level = EplbLevel(loads, serving, slots);
    theirs = std::max(theirs, level);
    ratio = std::max(ratio, board.LayerLevel(layer) / level);
  }
  const int64_t loads = static_cast<int64_t>(plan.bytes);  // a byte each
  std::printf("| %s | %s | %s | %.1f | %zu | %.4f | %.4f | %.4f | %.4f | %ld | %.1f %% | %.2f |\n",
              shape.name, trace.c_str(), event, best, plan.rounds.size(),
              plan.after.total_max_over_mean, plan.after.layer_max_over_mean, theirs, ratio,
              static_cast<long>(loads),
              100.0 * static_cast<double>(loads) /
                  static_cast<double>(std::max<int64_t>(FromScratch(fleet, options), 1)),
              plan.after.fan_out);
  return end;
}

void Measure(const Shape& shape, const std::string& trace, int repeats) {
  PlacementInput fleet = TraceFleet(trace, shape.grid, shape.workers, shape.slots);
  for (PlacementWorker& worker : fleet.workers) worker.holds = ExpertSet(shape.grid);
  fleet = Report(shape, trace, "first", fleet, repeats);
  TraceRandom random(7);
  for (const char* event : {"drift 1", "drift 2", "drift 3"}) {
    fleet.loads = Drifted(fleet.loads, fleet.grid, random);
    fleet = Report(shape, trace, event, fleet, repeats);
  }
  PlacementInput joined = fleet, died = fleet, drained = fleet;
  joined.workers.push_back(fleet.workers[0]);
  joined.workers.back().name = "x";
  joined.workers.back().holds = ExpertSet(fleet.grid);
  died.workers.erase(died.workers.begin() + 1);
  drained.workers[1].draining = true;
  Report(shape, trace, "one joins", joined, repeats);
  if (shape.slots == 1) return;  // one less has no room for equal slots
  Report(shape, trace, "one dies", died, repeats);
  Report(shape, trace, "one drains", drained, repeats);
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::max(std::atoi(argv[1]), 1) : 5;
  std::printf(
      "| layers x experts on workers | trace | event | ms | rounds | total max/mean | "
      "worst layer max/mean | EPLB's worst | worst ratio to EPLB | loads | of a plan from scratch "
      "| "
      "fan-out |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (const expertmesh::Shape& shape : expertmesh::kShapes) {
    for (const std::string& trace : expertmesh::TraceNames()) {
      expertmesh::Measure(shape, trace, repeats);
    }
  }
  return 0;
}
