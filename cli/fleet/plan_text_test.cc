#include "cli/fleet/plan_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::PlacementPlan SomePlan() {
  v1::PlacementPlan plan;
  v1::PlacementRound* round = plan.add_rounds();
  round->set_cover(true);
  v1::PlacementMove* move = round->add_moves();
  move->set_worker("e1");
  move->set_load_experts(8);
  move->set_load_bytes(12'000'000);
  move->set_loads_text("layer 1: experts 0-7");
  move = round->add_moves();
  move->set_worker("e2");
  move->set_unload_experts(8);
  move->set_unloads_text("layer 1: experts 0-7");
  plan.set_bytes(12'000'000);
  plan.mutable_before()->set_max_over_mean(1.5);
  plan.mutable_after()->set_max_over_mean(1.02);
  plan.mutable_before()->set_worst_layer(3);
  return plan;
}

TEST(PlanText, TellsMovesBytesAndTheBalanceBeforeAndAfter) {
  const std::string text = PlanText(SomePlan());
  EXPECT_THAT(text, HasSubstr("round 1, to cover\n"
                              "  e1 loads 8 experts, 12.00 MB: layer 1: experts 0-7\n"
                              "  e2 unloads 8 experts: layer 1: experts 0-7\n"
                              "1 round, 8 experts are loaded: 12.00 MB\n"));
  EXPECT_THAT(text, HasSubstr("busiest worker / mean        1.50            1.02\n"));
  EXPECT_THAT(text, HasSubstr("0.00 (layer 3)"));
  EXPECT_THAT(text, Not(HasSubstr("uncovered")));
}

TEST(PlanText, TellsWhatStaysUndone) {
  v1::PlacementPlan plan;
  plan.add_unsolved("e2 keeps 3 experts");
  plan.set_uncovered_experts(2);
  plan.set_uncovered_text("layer 2: experts 4-5");
  const std::string text = PlanText(plan);
  EXPECT_THAT(text, HasSubstr("nothing is moved\n"));
  EXPECT_THAT(text, HasSubstr("uncovered in the end: layer 2: experts 4-5\n"));
  EXPECT_THAT(text, HasSubstr("unsolved: e2 keeps 3 experts\n"));
}

}  // namespace
}  // namespace expertmesh
