#include "cli/fleet/fleet_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/text/numbers.h"
#include "cli/text/table.h"

namespace expertmesh {
namespace {

constexpr uint64_t kBarWidth = 20;

std::string WithoutPrefix(const std::string& enum_name, absl::string_view prefix) {
  return enum_name.substr(prefix.size());
}

bool Lives(const v1::WorkerListing& worker) {
  return worker.state() != v1::WORKER_STATE_LOST && worker.state() != v1::WORKER_STATE_GONE;
}

std::string SequencesOf(const v1::WorkerListing& worker) {
  return absl::StrCat(worker.running_sequences(), " running, ", worker.waiting_sequences(),
                      " waiting; cache: ", worker.cache_used_tokens(), " of ",
                      worker.cache_tokens(), " tokens of ", worker.cache_bytes_per_token(),
                      " bytes, ", worker.preemptions(), " preemptions");
}

// What a worker has to do with the work: experts that it holds, or sequences that it runs.
std::string WorkOf(const v1::WorkerListing& worker) {
  if (!Lives(worker)) return "-";
  if (worker.role() != v1::WORKER_ROLE_EXPERT) return SequencesOf(worker);
  std::vector<std::string> parts;
  if (worker.assigned_experts() == 0 && worker.holds_experts() == 0) {
    parts.push_back("no experts");
  } else {
    parts.push_back(absl::StrCat(worker.holds_experts(), " of ", worker.assigned_experts(),
                                 " experts: ", worker.holds_text()));
  }
  if (worker.loading_experts() > 0) {
    parts.push_back(absl::StrCat("loads ", worker.loading_text(), " ", ProgressText(worker)));
  }
  if (worker.retiring_experts() > 0) {
    parts.push_back(absl::StrCat("retires from ", worker.retiring_text()));
  }
  if (worker.has_note()) parts.push_back(worker.note());
  return absl::StrJoin(parts, "; ");
}

TableRow RowOf(const v1::WorkerListing& worker) {
  return {worker.name(),
          worker.role() == v1::WORKER_ROLE_EXPERT ? "expert" : "attention",
          StateName(worker.state()),
          absl::StrCat(worker.incarnation().term(), "#", worker.incarnation().number()),
          worker.address(),
          absl::StrCat(worker.epoch().term(), ".", worker.epoch().counter()),
          worker.compute_class().name(),
          absl::StrCat(worker.threads()),
          OrdersText(worker.orders()),
          MarginText(worker),
          WorkOf(worker)};
}

}  // namespace

std::string StateName(v1::WorkerState state) {
  return WithoutPrefix(v1::WorkerState_Name(state), "WORKER_STATE_");
}

std::string OrdersText(const v1::WorkerOrders& orders) {
  std::vector<std::string> parts;
  if (orders.cordoned()) parts.push_back("cordoned");
  if (orders.drain()) parts.push_back("drain");
  if (orders.pinned_experts() > 0) {
    parts.push_back(absl::StrCat(orders.pinned_experts(), " pinned"));
  }
  return parts.empty() ? "-" : absl::StrJoin(parts, ", ");
}

std::string MarginText(const v1::WorkerListing& worker) {
  switch (worker.fault_margin()) {
    case v1::FAULT_MARGIN_REPLICA:
      return "replica";
    case v1::FAULT_MARGIN_SPARE_MEMORY:
      return "spare memory";
    case v1::FAULT_MARGIN_NONE:
      return "none";
    default:
      return "-";
  }
}

std::string ProgressText(const v1::WorkerListing& worker) {
  const uint64_t wanted = worker.wanted_bytes();
  const uint64_t loaded = std::min(worker.loaded_bytes(), wanted);
  if (loaded == wanted) return "";
  const auto full =
      static_cast<size_t>(static_cast<double>(loaded) / static_cast<double>(wanted) * kBarWidth);
  return absl::StrCat("[", std::string(full, '#'), std::string(kBarWidth - full, '-'), "] ",
                      InBytes(loaded), " of ", InBytes(wanted));
}

std::string FleetText(const v1::GetTopologyResponse& fleet) {
  const v1::Topology& topology = fleet.topology();
  std::vector<TableRow> rows = {{"WORKER", "ROLE", "STATE", "LIFE", "ADDRESS", "EPOCH", "CLASS",
                                 "THREADS", "ORDERS", "MARGIN", "WORK"}};
  for (const v1::WorkerListing& worker : fleet.workers()) rows.push_back(RowOf(worker));
  std::string text =
      absl::StrCat("epoch ", topology.epoch().term(), ".", topology.epoch().counter(), ", model ",
                   topology.model().name(), "\n", Table(rows));
  if (fleet.moving()) absl::StrAppend(&text, "experts are moved: round ", fleet.rounds(), "\n");
  if (fleet.has_frozen()) {
    absl::StrAppend(&text, "frozen: control waits for ", fleet.frozen(), "\n");
  }
  absl::StrAppend(&text,
                  fleet.missing().empty() ? "whole: every expert is covered"
                                          : absl::StrCat("not whole: ", fleet.missing()),
                  "\n");
  return text;
}

const v1::WorkerListing* FindWorker(const v1::GetTopologyResponse& fleet, const std::string& name) {
  for (const v1::WorkerListing& worker : fleet.workers()) {
    if (worker.name() == name) return &worker;
  }
  return nullptr;
}

bool HasLeft(const v1::GetTopologyResponse& fleet, const std::string& name) {
  const v1::WorkerListing* worker = FindWorker(fleet, name);
  return worker == nullptr || worker->state() == v1::WORKER_STATE_GONE;
}

std::string WhatKeeps(const v1::GetTopologyResponse& fleet, const std::string& name,
                      const v1::PlanPlacementResponse& plan) {
  const v1::WorkerListing* worker = FindWorker(fleet, name);
  if (worker == nullptr) return absl::StrCat(name, " is not known");
  std::vector<std::string> why = {absl::StrCat(name, " is ", StateName(worker->state()))};
  if (worker->role() == v1::WORKER_ROLE_ATTENTION) {
    why.push_back(absl::StrCat("it has ", worker->running_sequences(), " sequences that run and ",
                               worker->waiting_sequences(), " that wait"));
  } else {
    why.push_back(absl::StrCat("it holds ", worker->holds_experts(), " experts"));
    if (worker->alone_experts() > 0) {
      why.push_back(absl::StrCat(worker->alone_experts(), " of them nobody else has"));
    }
  }
  if (plan.has_held_up()) why.push_back(plan.held_up());
  for (const std::string& unsolved : plan.plan().unsolved()) why.push_back(unsolved);
  return absl::StrJoin(why, "; ");
}

}  // namespace expertmesh
