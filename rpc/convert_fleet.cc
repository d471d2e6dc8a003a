#include "rpc/convert_fleet.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "rpc/text.h"

namespace expertmesh {
namespace {

constexpr int64_t kMaxLeaseMs = 24 * 60 * 60 * 1000;
constexpr size_t kMaxClassNameBytes = 128;
constexpr int32_t kMaxHidden = 65536;

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// Text that people will see: short, and without control characters.
absl::Status CheckText(absl::string_view field, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Refuse(field, " has ", text.size(), " bytes; at most ", max_bytes);
  }
  for (char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return Refuse(field, " has the control character ", static_cast<int>(c));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Refuse(field, " is ", value, "; it goes from ", low, " to ", high);
}

// Sets of one model must agree on the grid: code further in puts them together unchecked.
absl::Status CheckGrid(absl::string_view field, const ExpertSet& set, const ExpertGrid& grid) {
  if (set.grid() == ExpertGrid{} || set.grid() == grid) return absl::OkStatus();
  return Refuse(field, " is for ", set.grid().layers, " layers of ", set.grid().experts,
                " experts from layer ", set.grid().first_layer, "; the model has ", grid.layers,
                " of ", grid.experts, " from ", grid.first_layer);
}

absl::StatusOr<ExpertGrid> GridFromProto(const v1::ExpertGrid& proto) {
  RETURN_IF_ERROR(CheckRange("grid.first_layer", proto.first_layer(), 0, kMaxGridLayer));
  RETURN_IF_ERROR(CheckRange("grid.layers", proto.layers(), 0, kMaxGridLayers));
  RETURN_IF_ERROR(
      CheckRange("grid.experts", proto.experts(), proto.layers() > 0 ? 1 : 0, kMaxGridExperts));
  return ExpertGrid{proto.first_layer(), proto.layers(), proto.experts()};
}

void GridToProto(const ExpertGrid& grid, v1::ExpertGrid* proto) {
  proto->set_first_layer(grid.first_layer);
  proto->set_layers(grid.layers);
  proto->set_experts(grid.experts);
}

absl::StatusOr<Member> MemberFromProto(const v1::Member& proto, const ExpertGrid& grid) {
  Member member;
  RETURN_IF_ERROR(CheckWorkerName(proto.name()));
  RETURN_IF_ERROR(CheckText("address", proto.address(), kMaxAddressBytes));
  member.name = proto.name();
  member.address = proto.address();
  member.incarnation = FromProto(proto.incarnation());
  ASSIGN_OR_RETURN(member.role, FromProto(proto.role()));
  ASSIGN_OR_RETURN(member.state, FromProto(proto.state()));
  ASSIGN_OR_RETURN(member.compute_class, FromProto(proto.compute_class()));
  ASSIGN_OR_RETURN(member.holds, FromProto(proto.holds()));
  RETURN_IF_ERROR(CheckGrid("holds", member.holds, grid));
  return member;
}

v1::Member MemberToProto(const Member& member) {
  v1::Member proto;
  proto.set_name(member.name);
  proto.set_role(ToProto(member.role));
  *proto.mutable_incarnation() = ToProto(member.incarnation);
  proto.set_address(PlainText(member.address, kMaxAddressBytes));
  *proto.mutable_compute_class() = ToProto(member.compute_class);
  proto.set_state(ToProto(member.state));
  if (member.holds.grid() != ExpertGrid{}) *proto.mutable_holds() = ToProto(member.holds);
  return proto;
}

bool InOrder(const Member& a, const Member& b) {
  return a.role != b.role ? a.role < b.role : a.name < b.name;
}

}  // namespace

absl::Status CheckWorkerName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxWorkerNameBytes) {
    return Refuse("name has ", name.size(), " bytes; from 1 to ", kMaxWorkerNameBytes);
  }
  for (char c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') {
      return Refuse("name has a character (code ", static_cast<int>(static_cast<unsigned char>(c)),
                    ") that is none of a-z A-Z 0-9 . _ -");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<WorkerRole> FromProto(v1::WorkerRole proto) {
  RETURN_IF_ERROR(CheckRange("role", proto, v1::WORKER_ROLE_ATTENTION, v1::WORKER_ROLE_EXPERT));
  return proto == v1::WORKER_ROLE_ATTENTION ? WorkerRole::kAttention : WorkerRole::kExpert;
}

v1::WorkerRole ToProto(WorkerRole role) {
  return role == WorkerRole::kAttention ? v1::WORKER_ROLE_ATTENTION : v1::WORKER_ROLE_EXPERT;
}

// The numbers of both enums are the same; the assertions hold them to it.
static_assert(static_cast<int>(WorkerState::kJoining) == v1::WORKER_STATE_JOINING);
static_assert(static_cast<int>(WorkerState::kLoading) == v1::WORKER_STATE_LOADING);
static_assert(static_cast<int>(WorkerState::kReady) == v1::WORKER_STATE_READY);
static_assert(static_cast<int>(WorkerState::kDraining) == v1::WORKER_STATE_DRAINING);
static_assert(static_cast<int>(WorkerState::kGone) == v1::WORKER_STATE_GONE);
static_assert(static_cast<int>(WorkerState::kLost) == v1::WORKER_STATE_LOST);

absl::StatusOr<WorkerState> FromProto(v1::WorkerState proto) {
  RETURN_IF_ERROR(CheckRange("state", proto, v1::WORKER_STATE_JOINING, v1::WORKER_STATE_LOST));
  return static_cast<WorkerState>(proto);
}

v1::WorkerState ToProto(WorkerState state) { return static_cast<v1::WorkerState>(state); }

Epoch FromProto(const v1::Epoch& proto) { return {proto.term(), proto.counter()}; }

v1::Epoch ToProto(const Epoch& epoch) {
  v1::Epoch proto;
  proto.set_term(epoch.term);
  proto.set_counter(epoch.counter);
  return proto;
}

Incarnation FromProto(const v1::Incarnation& proto) { return {proto.term(), proto.number()}; }

v1::Incarnation ToProto(const Incarnation& incarnation) {
  v1::Incarnation proto;
  proto.set_term(incarnation.term);
  proto.set_number(incarnation.number);
  return proto;
}

absl::StatusOr<ComputeClass> FromProto(const v1::ComputeClass& proto) {
  RETURN_IF_ERROR(CheckText("compute_class.name", proto.name(), kMaxClassNameBytes));
  return ComputeClass{proto.name(), proto.fingerprint()};
}

v1::ComputeClass ToProto(const ComputeClass& compute_class) {
  v1::ComputeClass proto;
  proto.set_name(compute_class.name);
  proto.set_fingerprint(compute_class.fingerprint);
  return proto;
}

absl::StatusOr<ExpertSet> FromProto(const v1::ExpertSet& proto) {
  ASSIGN_OR_RETURN(ExpertGrid grid, GridFromProto(proto.grid()));
  return ExpertSet::FromBytes(grid, proto.bits());
}

v1::ExpertSet ToProto(const ExpertSet& set) {
  v1::ExpertSet proto;
  if (set.grid() == ExpertGrid{}) return proto;
  GridToProto(set.grid(), proto.mutable_grid());
  proto.set_bits(set.ToBytes());
  return proto;
}

absl::StatusOr<ModelIdentity> FromProto(const v1::ModelIdentity& proto) {
  ModelIdentity model;
  RETURN_IF_ERROR(CheckText("model.name", proto.name(), kMaxModelNameBytes));
  ASSIGN_OR_RETURN(model.grid, GridFromProto(proto.grid()));
  RETURN_IF_ERROR(CheckRange("model.hidden", proto.hidden(), 0, kMaxHidden));
  RETURN_IF_ERROR(CheckRange("model.top_k", proto.top_k(), 0, model.grid.experts));
  model.name = proto.name();
  model.fingerprint = {proto.fingerprint().high(), proto.fingerprint().low()};
  model.hidden = proto.hidden();
  model.top_k = proto.top_k();
  model.expert_bytes = proto.expert_bytes();
  if (proto.has_groups()) model.groups = proto.groups();
  if (proto.has_chosen_groups()) model.chosen_groups = proto.chosen_groups();
  RETURN_IF_ERROR(CheckRange("model.groups", model.groups, 1, std::max(1, model.grid.experts)));
  RETURN_IF_ERROR(CheckRange("model.chosen_groups", model.chosen_groups, 1, model.groups));
  return model;
}

v1::ModelIdentity ToProto(const ModelIdentity& model) {
  v1::ModelIdentity proto;
  proto.set_name(PlainText(model.name, kMaxModelNameBytes));
  proto.mutable_fingerprint()->set_high(model.fingerprint.high);
  proto.mutable_fingerprint()->set_low(model.fingerprint.low);
  GridToProto(model.grid, proto.mutable_grid());
  proto.set_hidden(model.hidden);
  proto.set_top_k(model.top_k);
  proto.set_expert_bytes(model.expert_bytes);
  proto.set_groups(model.groups);
  proto.set_chosen_groups(model.chosen_groups);
  return proto;
}

absl::StatusOr<Topology> FromProto(const v1::Topology& proto) {
  if (proto.members_size() > kMaxMembers) {
    return Refuse("topology.members has ", proto.members_size(), " entries; at most ", kMaxMembers);
  }
  Topology topology;
  topology.epoch = FromProto(proto.epoch());
  ASSIGN_OR_RETURN(topology.model, FromProto(proto.model()));
  topology.members.reserve(proto.members_size());
  for (const v1::Member& entry : proto.members()) {
    absl::StatusOr<Member> member = MemberFromProto(entry, topology.model.grid);
    const std::string where = absl::StrCat("topology.members[", topology.members.size(), "]");
    if (!member.ok()) return Annotate(member.status(), where);
    if (!topology.members.empty() && !InOrder(topology.members.back(), *member)) {
      return Refuse(where, " is out of order: members go by role, then name, without repeats");
    }
    topology.members.push_back(*std::move(member));
  }
  return topology;
}

v1::Topology ToProto(const Topology& topology) {
  v1::Topology proto;
  *proto.mutable_epoch() = ToProto(topology.epoch);
  *proto.mutable_model() = ToProto(topology.model);
  for (const Member& member : topology.members) *proto.add_members() = MemberToProto(member);
  return proto;
}

absl::StatusOr<Report> FromProto(const v1::Report& proto) {
  RETURN_IF_ERROR(CheckWorkerName(proto.name()));
  RETURN_IF_ERROR(CheckText("address", proto.address(), kMaxAddressBytes));
  if (proto.address().empty()) return Refuse("address is empty; peers must be able to dial it");
  RETURN_IF_ERROR(
      CheckRange("state", proto.state(), v1::WORKER_STATE_JOINING, v1::WORKER_STATE_DRAINING));
  RETURN_IF_ERROR(CheckRange("vocabulary", proto.vocabulary(), 0, INT32_MAX));
  RETURN_IF_ERROR(CheckRange("max_context", proto.max_context(), 0, INT32_MAX));
  Report report;
  ASSIGN_OR_RETURN(report.role, FromProto(proto.role()));
  ASSIGN_OR_RETURN(report.state, FromProto(proto.state()));
  ASSIGN_OR_RETURN(report.compute_class, FromProto(proto.compute_class()));
  ASSIGN_OR_RETURN(report.model, FromProto(proto.model()));
  ASSIGN_OR_RETURN(report.holds, FromProto(proto.holds()));
  RETURN_IF_ERROR(CheckGrid("holds", report.holds, report.model.grid));
  ASSIGN_OR_RETURN(report.loading, FromProto(proto.loading()));
  RETURN_IF_ERROR(CheckGrid("loading", report.loading, report.model.grid));
  if (proto.rows_size() > 0 && proto.rows_size() != report.holds.size()) {
    return Refuse("rows has ", proto.rows_size(), " entries; holds has ", report.holds.size());
  }
  if (proto.silent_size() > kMaxMembers) {
    return Refuse("silent has ", proto.silent_size(), " entries; at most ", kMaxMembers);
  }
  for (const v1::Incarnation& life : proto.silent()) report.silent.push_back(FromProto(life));
  report.rows.assign(proto.rows().begin(), proto.rows().end());
  report.number = proto.number();
  report.name = proto.name();
  report.incarnation = FromProto(proto.incarnation());
  if (proto.highest_term() > kMaxTerm) {
    return absl::InvalidArgumentError(
        absl::StrCat("highest_term is ", proto.highest_term(), "; at most ", kMaxTerm));
  }
  report.highest_term = proto.highest_term();
  report.epoch = FromProto(proto.epoch());
  report.address = proto.address();
  report.memory_bytes = proto.memory_bytes();
  report.threads = proto.threads();
  report.loaded_bytes = proto.loaded_bytes();
  report.wanted_bytes = proto.wanted_bytes();
  report.vocabulary = proto.vocabulary();
  report.max_context = proto.max_context();
  report.cache_tokens = proto.cache_tokens();
  report.cache_bytes_per_token = proto.cache_bytes_per_token();
  report.load = {proto.running_sequences(), proto.waiting_sequences(), proto.cache_used_tokens(),
                 proto.preemptions()};
  return report;
}

v1::Report ToProto(const Report& report) {
  v1::Report proto;
  proto.set_number(report.number);
  proto.set_name(report.name);
  proto.set_role(ToProto(report.role));
  *proto.mutable_incarnation() = ToProto(report.incarnation);
  proto.set_highest_term(report.highest_term);
  *proto.mutable_epoch() = ToProto(report.epoch);
  proto.set_address(PlainText(report.address, kMaxAddressBytes));
  proto.set_state(ToProto(report.state));
  proto.set_memory_bytes(report.memory_bytes);
  proto.set_threads(report.threads);
  *proto.mutable_compute_class() = ToProto(report.compute_class);
  *proto.mutable_model() = ToProto(report.model);
  if (report.holds.grid() != ExpertGrid{}) *proto.mutable_holds() = ToProto(report.holds);
  if (report.loading.grid() != ExpertGrid{}) *proto.mutable_loading() = ToProto(report.loading);
  proto.set_loaded_bytes(report.loaded_bytes);
  proto.set_wanted_bytes(report.wanted_bytes);
  proto.set_vocabulary(report.vocabulary);
  proto.set_max_context(report.max_context);
  proto.set_cache_tokens(report.cache_tokens);
  proto.set_cache_bytes_per_token(report.cache_bytes_per_token);
  proto.set_running_sequences(report.load.running_sequences);
  proto.set_waiting_sequences(report.load.waiting_sequences);
  proto.set_cache_used_tokens(report.load.cache_used_tokens);
  proto.set_preemptions(report.load.preemptions);
  for (const Incarnation& life : report.silent) *proto.add_silent() = ToProto(life);
  proto.mutable_rows()->Add(report.rows.begin(), report.rows.end());
  return proto;
}

absl::StatusOr<Command> FromProto(const v1::Command& proto) {
  RETURN_IF_ERROR(CheckText("fenced", proto.fenced(), kMaxFencedTextBytes));
  RETURN_IF_ERROR(CheckRange("lease_ms", proto.lease_ms(), 0, kMaxLeaseMs));
  Command command;
  command.term = proto.term();
  command.number = proto.number();
  command.incarnation = FromProto(proto.incarnation());
  command.fenced = proto.fenced();
  command.lease = std::chrono::milliseconds(proto.lease_ms());
  command.drain = proto.drain();
  command.released = proto.released();
  ASSIGN_OR_RETURN(command.assigned, FromProto(proto.assigned()));
  if (proto.has_topology()) {
    ASSIGN_OR_RETURN(Topology topology, FromProto(proto.topology()));
    if (topology.model.grid != ExpertGrid{}) {
      RETURN_IF_ERROR(CheckGrid("assigned", command.assigned, topology.model.grid));
    }
    command.topology = std::make_shared<const Topology>(std::move(topology));
  }
  return command;
}

v1::Command ToProto(const Command& command) {
  v1::Command proto;
  proto.set_term(command.term);
  proto.set_number(command.number);
  *proto.mutable_incarnation() = ToProto(command.incarnation);
  if (!command.fenced.empty()) proto.set_fenced(PlainText(command.fenced, kMaxFencedTextBytes));
  proto.set_lease_ms(std::chrono::duration_cast<std::chrono::milliseconds>(command.lease).count());
  if (command.drain) proto.set_drain(true);
  if (command.released) proto.set_released(true);
  if (command.assigned.grid() != ExpertGrid{}) {
    *proto.mutable_assigned() = ToProto(command.assigned);
  }
  if (command.topology != nullptr) *proto.mutable_topology() = ToProto(*command.topology);
  return proto;
}

}  // namespace expertmesh
