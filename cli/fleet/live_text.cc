#include "cli/fleet/live_text.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/fleet/fleet_text.h"
#include "cli/text/table.h"

namespace expertmesh {
namespace {

constexpr size_t kLoadColumn = 4;

std::string LoadOf(const v1::WorkerListing& worker) {
  if (worker.role() == v1::WORKER_ROLE_ATTENTION) {
    return absl::StrCat(worker.running_sequences(), " running, ", worker.waiting_sequences(),
                        " waiting");
  }
  if (!worker.has_tokens_per_second()) return "-";
  return absl::StrFormat("%.0f rows/s", worker.tokens_per_second());
}

std::string MovesOf(const v1::WorkerListing& worker) {
  std::vector<std::string> parts;
  if (worker.loading_experts() > 0 || !ProgressText(worker).empty()) {
    parts.push_back(absl::StrCat("loads ", worker.loading_experts(), " ", ProgressText(worker)));
  }
  if (worker.retiring_experts() > 0) {
    parts.push_back(absl::StrCat("retires ", worker.retiring_experts()));
  }
  const int64_t kept = worker.holds_experts() + worker.loading_experts();
  if (kept > worker.assigned_experts()) {
    parts.push_back(absl::StrCat("unloads ", kept - worker.assigned_experts()));
  }
  return absl::StrJoin(parts, ", ");
}

TableRow RowOf(const v1::WorkerListing& worker) {
  const bool expert = worker.role() == v1::WORKER_ROLE_EXPERT;
  const bool lives =
      worker.state() != v1::WORKER_STATE_LOST && worker.state() != v1::WORKER_STATE_GONE;
  if (!lives) {
    return {
        worker.name(), StateName(worker.state()), OrdersText(worker.orders()), "-", "-", "-", ""};
  }
  return {worker.name(),
          StateName(worker.state()),
          OrdersText(worker.orders()),
          expert ? absl::StrCat(worker.holds_experts()) : "-",
          LoadOf(worker),
          MarginText(worker),
          expert ? MovesOf(worker) : ""};
}

std::string FleetLine(const v1::GetTopologyResponse& fleet) {
  const v1::Epoch& epoch = fleet.topology().epoch();
  std::string line = absl::StrCat("epoch ", epoch.term(), ".", epoch.counter(), ", ");
  absl::StrAppend(&line, fleet.missing().empty() ? "whole" : "not whole: ", fleet.missing());
  if (fleet.has_frozen()) {
    absl::StrAppend(&line, "; frozen: control waits for ", fleet.frozen());
  }
  absl::StrAppend(&line, "; ", fleet.rounds(), fleet.rounds() == 1 ? " round" : " rounds",
                  fleet.moving() ? ", moving" : "");
  if (fleet.has_balance()) {
    absl::StrAppend(&line, "; busiest / mean ",
                    absl::StrFormat("%.2f", fleet.balance().max_over_mean()), ", ",
                    fleet.balance().replicas(), " replicas");
  }
  return line;
}

std::string Joined(TableRow row) {
  row.erase(row.begin() + kLoadColumn);
  while (!row.empty() && row.back().empty()) row.pop_back();
  return absl::StrJoin(row, "  ");
}

}  // namespace

std::string LiveScreen(const v1::GetTopologyResponse& fleet, size_t columns, size_t lines) {
  std::vector<TableRow> rows = {
      {"WORKER", "STATE", "ORDERS", "EXPERTS", "LOAD", "MARGIN", "MOVES"}};
  for (const v1::WorkerListing& worker : fleet.workers()) rows.push_back(RowOf(worker));
  std::vector<std::string> all = {FleetLine(fleet)};
  const std::string table = Table(rows);
  for (const absl::string_view line : absl::StrSplit(table, '\n', absl::SkipEmpty())) {
    all.emplace_back(line);
  }
  if (all.size() > lines) {
    const size_t shown = std::max<size_t>(lines, 1) - 1;
    const size_t left = all.size() - shown;
    all.resize(shown);
    all.push_back(absl::StrCat("... ", left, " more lines"));
  }
  std::string text;
  for (const std::string& line : all) absl::StrAppend(&text, line.substr(0, columns), "\n");
  return text;
}

std::string LiveLines::ChangesTo(const v1::GetTopologyResponse& fleet) {
  std::map<std::string, std::string> now = {{"", FleetLine(fleet)}};
  std::vector<std::string> order = {""};
  for (const v1::WorkerListing& worker : fleet.workers()) {
    now[worker.name()] = Joined(RowOf(worker));
    order.push_back(worker.name());
  }
  std::string text;
  for (const std::string& name : order) {
    const auto was = before_.find(name);
    if (was == before_.end() || was->second != now[name]) absl::StrAppend(&text, now[name], "\n");
  }
  for (const auto& [name, line] : before_) {
    if (!now.contains(name)) absl::StrAppend(&text, name, "  is forgotten\n");
  }
  before_ = std::move(now);
  return text;
}

}  // namespace expertmesh
