#include "coordinator/service/listing.h"

#include <set>
#include <string>

#include "common/status.h"
#include "rpc/convert_fleet.h"

namespace expertmesh {
namespace {

static_assert(static_cast<int>(FaultMargin::kReplica) == v1::FAULT_MARGIN_REPLICA);
static_assert(static_cast<int>(FaultMargin::kSpareMemory) == v1::FAULT_MARGIN_SPARE_MEMORY);
static_assert(static_cast<int>(FaultMargin::kNone) == v1::FAULT_MARGIN_NONE);

void FillMoves(const WorkerListing& worker, v1::WorkerListing* proto) {
  const ExpertSet& loading = worker.report.loading;
  proto->set_loading_experts(loading.size());
  if (!loading.empty()) proto->set_loading_text(loading.ToText());
  proto->set_retiring_experts(worker.retiring.size());
  if (!worker.retiring.empty()) proto->set_retiring_text(worker.retiring.ToText());
}

void FillPlacement(const PlacementListing& placement, v1::WorkerListing* proto) {
  proto->set_fault_margin(static_cast<v1::FaultMargin>(placement.margin.margin));
  proto->set_alone_experts(placement.margin.alone);
  proto->set_spare_experts(placement.margin.spare);
  proto->set_room_experts(placement.room);
  if (placement.tokens_per_second.has_value()) {
    proto->set_tokens_per_second(*placement.tokens_per_second);
  }
}

void FillWorker(const WorkerListing& worker, v1::WorkerListing* proto) {
  const Report& report = worker.report;
  proto->set_name(report.name);
  proto->set_role(ToProto(report.role));
  proto->set_state(ToProto(worker.state));
  *proto->mutable_incarnation() = ToProto(report.incarnation);
  proto->set_address(report.address);
  *proto->mutable_epoch() = ToProto(report.epoch);
  *proto->mutable_compute_class() = ToProto(report.compute_class);
  *proto->mutable_model() = ToProto(report.model);
  proto->set_memory_bytes(report.memory_bytes);
  proto->set_threads(report.threads);
  if (report.role == WorkerRole::kExpert) {
    *proto->mutable_holds() = ToProto(report.holds);
    proto->set_holds_experts(report.holds.size());
    proto->set_holds_text(report.holds.ToText());
    *proto->mutable_assigned() = ToProto(worker.assigned);
    proto->set_assigned_experts(worker.assigned.size());
    if (!worker.note.empty()) proto->set_note(worker.note);
    FillMoves(worker, proto);
  }
  if (worker.placement.has_value()) FillPlacement(*worker.placement, proto);
  if (worker.orders != WorkerOrders()) *proto->mutable_orders() = ToProto(worker.orders);
  proto->set_loaded_bytes(report.loaded_bytes);
  proto->set_wanted_bytes(report.wanted_bytes);
  if (report.role == WorkerRole::kAttention) {
    proto->set_vocabulary(report.vocabulary);
    proto->set_max_context(report.max_context);
    proto->set_cache_tokens(report.cache_tokens);
    proto->set_cache_bytes_per_token(report.cache_bytes_per_token);
    proto->set_running_sequences(report.load.running_sequences);
    proto->set_waiting_sequences(report.load.waiting_sequences);
    proto->set_cache_used_tokens(report.load.cache_used_tokens);
    proto->set_preemptions(report.load.preemptions);
  }
}

void FillSet(const ExpertsByWorker& of, const std::string& name, const ExpertSet** set) {
  const auto found = of.find(name);
  if (found != of.end() && !found->second.empty()) *set = &found->second;
}

v1::PlacementMove MoveOf(const Round& round, const std::string& name, uint64_t expert_bytes) {
  v1::PlacementMove move;
  move.set_worker(name);
  const ExpertSet *loads = nullptr, *unloads = nullptr;
  FillSet(round.loads, name, &loads);
  FillSet(round.unloads, name, &unloads);
  if (loads != nullptr) {
    *move.mutable_loads() = ToProto(*loads);
    move.set_load_experts(loads->size());
    move.set_loads_text(loads->ToText());
    move.set_load_bytes(static_cast<uint64_t>(loads->size()) * expert_bytes);
  }
  if (unloads != nullptr) {
    *move.mutable_unloads() = ToProto(*unloads);
    move.set_unload_experts(unloads->size());
    move.set_unloads_text(unloads->ToText());
  }
  return move;
}

v1::PlacementRound RoundOf(const Round& round, uint64_t expert_bytes) {
  v1::PlacementRound proto;
  proto.set_cover(round.cover);
  std::set<std::string> names;
  for (const ExpertsByWorker* of : {&round.loads, &round.unloads}) {
    for (const auto& [name, experts] : *of) names.insert(name);
  }
  for (const std::string& name : names) *proto.add_moves() = MoveOf(round, name, expert_bytes);
  return proto;
}

}  // namespace

v1::WorkerOrders ToProto(const WorkerOrders& orders) {
  v1::WorkerOrders proto;
  proto.set_cordoned(orders.cordoned);
  proto.set_drain(orders.drain);
  if (!orders.pinned.empty()) {
    *proto.mutable_pinned() = ToProto(orders.pinned);
    proto.set_pinned_experts(orders.pinned.size());
    proto.set_pinned_text(orders.pinned.ToText());
  }
  return proto;
}

v1::Balance ToProto(const BalanceSummary& summary) {
  v1::Balance proto;
  proto.set_max_over_mean(summary.total_max_over_mean);
  proto.set_min_over_mean(summary.total_min_over_mean);
  proto.set_layer_max_over_mean(summary.layer_max_over_mean);
  proto.set_worst_layer(summary.worst_layer);
  proto.set_covered(summary.covered);
  proto.set_replicas(summary.replicas);
  proto.set_fan_out(summary.fan_out);
  return proto;
}

v1::PlacementPlan ToProto(const PlanAnswer& answer) {
  const Plan& plan = answer.plan;
  v1::PlacementPlan proto;
  for (const Round& round : plan.rounds) *proto.add_rounds() = RoundOf(round, answer.expert_bytes);
  proto.set_bytes(plan.bytes);
  *proto.mutable_before() = ToProto(plan.before);
  *proto.mutable_after() = ToProto(plan.after);
  *proto.mutable_uncovered() = ToProto(plan.uncovered);
  proto.set_uncovered_experts(plan.uncovered.size());
  if (!plan.uncovered.empty()) proto.set_uncovered_text(plan.uncovered.ToText());
  for (const std::string& text : plan.unsolved) proto.add_unsolved(text);
  return proto;
}

absl::StatusOr<OrdersChange> FromProto(const v1::SetWorkerOrdersRequest& request) {
  RETURN_IF_ERROR(CheckWorkerName(request.name()));
  OrdersChange change;
  if (request.has_cordoned()) change.cordoned = request.cordoned();
  if (request.has_drain()) change.drain = request.drain();
  if (request.has_pinned()) {
    absl::StatusOr<ExpertSet> pinned = FromProto(request.pinned());
    if (!pinned.ok()) return Annotate(pinned.status(), "pinned");
    change.pinned = *std::move(pinned);
  }
  return change;
}

v1::GetTopologyResponse ToProto(const FleetListing& listing) {
  v1::GetTopologyResponse proto;
  *proto.mutable_topology() = ToProto(listing.topology);
  *proto.mutable_uncovered() = ToProto(listing.uncovered);
  proto.set_uncovered_experts(listing.uncovered.size());
  proto.set_uncovered_text(listing.uncovered.ToText());
  for (const WorkerListing& worker : listing.workers) FillWorker(worker, proto.add_workers());
  if (!listing.missing.empty()) proto.set_missing(listing.missing);
  if (!listing.frozen.empty()) proto.set_frozen(listing.frozen);
  proto.set_moving(listing.moving);
  proto.set_rounds(listing.rounds);
  if (listing.balance.has_value()) *proto.mutable_balance() = ToProto(*listing.balance);
  return proto;
}

}  // namespace expertmesh
