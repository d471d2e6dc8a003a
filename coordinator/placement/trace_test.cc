// On the named traces (test_traces.h): how even plans are, against EPLB's greedy with as many
// slots, and how little they move when something changes. Whole-size figures:
// bench/placement_plan.cc.
#include <gtest/gtest.h>

#include <tuple>

#include "coordinator/placement/board.h"
#include "coordinator/placement/test_eplb.h"
#include "coordinator/placement/test_traces.h"
#include "coordinator/placement/test_util.h"

namespace expertmesh {
namespace {

struct Shape {
  ExpertGrid grid;
  int32_t workers, slots;
};

const Shape kShapes[] = {
    {{1, 26, 64}, 8, 10}, {{0, 12, 16}, 4, 5}, {{1, 8, 160}, 32, 6}, {{1, 20, 160}, 320, 1}};

class Traces : public testing::TestWithParam<std::tuple<std::string, Shape>> {
 protected:
  Traces() {
    const auto& [trace, shape] = GetParam();
    fleet_ = TraceFleet(trace, shape.grid, shape.workers, shape.slots);
    options_.balance = true;
  }
  void Place() { fleet_ = AfterPlan(fleet_, PlanPlacement(fleet_, options_)); }

  // Plans for the fleet as it is now, checks what that moves against what a plan from nothing would
  // move, and gives the fleet after it.
  PlacementInput Follow(const PlacementInput& now) {
    const Plan plan = PlanPlacement(now, options_);
    EXPECT_TRUE(plan.uncovered.empty());
    PlacementInput nothing = now;
    for (PlacementWorker& worker : nothing.workers) worker.holds = ExpertSet(now.grid);
    const PlacementInput anew = AfterPlan(nothing, PlanPlacement(nothing, options_));
    int64_t from_scratch = 0;
    for (size_t w = 0; w < now.workers.size(); ++w) {
      from_scratch += Minus(anew.workers[w].holds, now.workers[w].holds).size();
    }
    // Of four workers one is a third of it all before anything is evened out.
    const int64_t thirds = now.workers.size() > 5 ? 1 : 2;
    EXPECT_LE(3 * LoadsOf(plan), thirds * from_scratch);
    return AfterPlan(now, plan);
  }

  // `even_enough`: what a layer may have although EPLB has less.
  void ExpectEven(const PlacementInput& fleet, double even_enough) {
    const Shape& shape = std::get<1>(GetParam());
    EXPECT_LE(Summarize(fleet).total_max_over_mean, 1.05);
    const Board board(fleet, 0);
    for (int32_t layer = 0; layer < fleet.grid.layers; ++layer) {
      const auto loads = absl::MakeConstSpan(fleet.loads)
                             .subspan(int64_t{layer} * fleet.grid.experts, fleet.grid.experts);
      const double theirs = EplbLevel(loads, shape.workers, shape.slots);
      EXPECT_LE(board.LayerLevel(layer), std::max(1.02 * theirs, even_enough)) << "layer " << layer;
    }
  }

  PlacementInput fleet_;
  PlanOptions options_;
};

TEST_P(Traces, TheFirstPlacementIsAsEvenAsEplbToTwoPercent) {
  Place();
  ExpectEven(fleet_, 1);
}

TEST_P(Traces, DriftMovesAThirdOfAPlanFromScratchAtMostAndStaysEven) {
  Place();
  TraceRandom random(7);
  for (int step = 0; step < 3; ++step) {
    fleet_.loads = Drifted(fleet_.loads, fleet_.grid, random);
    fleet_ = Follow(fleet_);
    // A layer is left alone below its target; a bit above it where no single step helps.
    ExpectEven(fleet_, options_.layer_target + 0.10);
  }
}

TEST_P(Traces, AWorkerThatJoinsGetsItsPart) {
  Place();
  PlacementInput more = fleet_;
  more.workers.push_back(fleet_.workers[0]);
  more.workers.back().name = "x";
  more.workers.back().holds = ExpertSet(fleet_.grid);
  const BalanceSummary after = Summarize(Follow(more));
  EXPECT_LE(after.total_max_over_mean, 1.05);
  EXPECT_GE(after.total_min_over_mean, 0.75);
}

TEST_P(Traces, AWorkerThatDiesOrDrainsCostsLittle) {
  Place();
  PlacementInput fewer = fleet_, drained = fleet_;
  fewer.workers.erase(fewer.workers.begin() + 1);
  drained.workers[1].draining = true;
  const PlacementInput after = Follow(fewer), emptied = Follow(drained);
  EXPECT_TRUE(emptied.workers[1].holds.empty());
  if (fleet_.workers.size() == 4) return;  // three have hardly the memory for it all
  EXPECT_LE(Summarize(after).total_max_over_mean, 1.05);
  EXPECT_LE(Summarize(emptied).total_max_over_mean, 1.05);
}

std::string NameOf(const testing::TestParamInfo<Traces::ParamType>& info) {
  const auto& [trace, shape] = info.param;
  std::string name = trace + "_" + std::to_string(shape.grid.layers) + "x" +
                     std::to_string(shape.grid.experts) + "_on_" + std::to_string(shape.workers);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Traces,
                         testing::Combine(testing::ValuesIn(TraceNames()),
                                          testing::ValuesIn(kShapes)),
                         NameOf);

}  // namespace
}  // namespace expertmesh
