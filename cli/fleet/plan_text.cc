#include "cli/fleet/plan_text.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/text/numbers.h"
#include "cli/text/table.h"

namespace expertmesh {
namespace {

std::string MoveLines(const v1::PlacementMove& move) {
  std::string text;
  if (move.load_experts() > 0) {
    absl::StrAppend(&text, "  ", move.worker(), " loads ", move.load_experts(), " experts, ",
                    InBytes(move.load_bytes()), ": ", move.loads_text(), "\n");
  }
  if (move.unload_experts() > 0) {
    absl::StrAppend(&text, "  ", move.worker(), " unloads ", move.unload_experts(),
                    " experts: ", move.unloads_text(), "\n");
  }
  return text;
}

std::string Ratio(double value) { return absl::StrFormat("%.2f", value); }

std::string BalanceTable(const v1::Balance& before, const v1::Balance& after) {
  const auto row = [&](const char* name, auto value) {
    return TableRow{name, value(before), value(after)};
  };
  const auto worst = [](const v1::Balance& b) {
    return absl::StrCat(Ratio(b.layer_max_over_mean()), " (layer ", b.worst_layer(), ")");
  };
  return Table(
      {{"", "NOW", "AFTER"},
       row("busiest worker / mean", [](const auto& b) { return Ratio(b.max_over_mean()); }),
       row("least busy / mean", [](const auto& b) { return Ratio(b.min_over_mean()); }),
       row("busiest in one layer / mean", worst),
       row("workers per token and layer", [](const auto& b) { return Ratio(b.fan_out()); }),
       row("experts covered", [](const auto& b) { return absl::StrCat(b.covered()); }),
       row("replicas", [](const auto& b) { return absl::StrCat(b.replicas()); })});
}

}  // namespace

std::string PlanText(const v1::PlacementPlan& plan) {
  std::string text;
  int64_t loads = 0;
  for (int i = 0; i < plan.rounds_size(); ++i) {
    const v1::PlacementRound& round = plan.rounds(i);
    absl::StrAppend(&text, "round ", i + 1, round.cover() ? ", to cover" : ", for balance", "\n");
    for (const v1::PlacementMove& move : round.moves()) {
      text += MoveLines(move);
      loads += move.load_experts();
    }
  }
  if (plan.rounds_size() == 0) {
    text += "nothing is moved\n";
  } else {
    absl::StrAppend(&text, plan.rounds_size(), plan.rounds_size() == 1 ? " round, " : " rounds, ",
                    loads, " experts are loaded: ", InBytes(plan.bytes()), "\n");
  }
  absl::StrAppend(&text, "\n", BalanceTable(plan.before(), plan.after()));
  if (plan.uncovered_experts() > 0) {
    absl::StrAppend(&text, "uncovered in the end: ", plan.uncovered_text(), "\n");
  }
  for (const std::string& unsolved : plan.unsolved()) {
    absl::StrAppend(&text, "unsolved: ", unsolved, "\n");
  }
  return text;
}

}  // namespace expertmesh
