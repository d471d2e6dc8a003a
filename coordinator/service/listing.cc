#include "coordinator/service/listing.h"

#include "rpc/convert_fleet.h"

namespace expertmesh {
namespace {

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
  }
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

}  // namespace

v1::GetTopologyResponse ToProto(const FleetListing& listing) {
  v1::GetTopologyResponse proto;
  *proto.mutable_topology() = ToProto(listing.topology);
  *proto.mutable_uncovered() = ToProto(listing.uncovered);
  proto.set_uncovered_experts(listing.uncovered.size());
  proto.set_uncovered_text(listing.uncovered.ToText());
  for (const WorkerListing& worker : listing.workers) FillWorker(worker, proto.add_workers());
  if (!listing.missing.empty()) proto.set_missing(listing.missing);
  return proto;
}

}  // namespace expertmesh
