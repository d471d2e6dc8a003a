// convert_fleet.h: reports, commands and topologies, to and from protobuf.
//
// FromProto takes a peer's word: enums are in range, names and texts are short and printable, sets
// fit their grid, and sets that belong to one model have that model's grid. The first field that
// breaks this is refused with INVALID_ARGUMENT that names it. ToProto takes our own values as they
// are, but for texts, which it makes plain (text.h).
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cluster/report.h"
#include "expertmesh/v1/coordinator.pb.h"
#include "expertmesh/v1/fleet.pb.h"

namespace expertmesh {

inline constexpr size_t kMaxWorkerNameBytes = 128;
inline constexpr size_t kMaxAddressBytes = 512;
inline constexpr size_t kMaxModelNameBytes = 512;
inline constexpr size_t kMaxFencedTextBytes = 4096;
inline constexpr int32_t kMaxGridLayer = 4095;
inline constexpr int32_t kMaxGridLayers = 1024;
inline constexpr int32_t kMaxGridExperts = 16384;
inline constexpr int kMaxMembers = 65536;

// A worker's name: 1 to 128 of a-z A-Z 0-9 . _ - so that it can stand in logs, labels and tables.
// Also what --name is checked with.
absl::Status CheckWorkerName(absl::string_view name);

absl::StatusOr<Report> FromProto(const v1::Report& proto);
v1::Report ToProto(const Report& report);

absl::StatusOr<Command> FromProto(const v1::Command& proto);
v1::Command ToProto(const Command& command);

absl::StatusOr<Topology> FromProto(const v1::Topology& proto);
v1::Topology ToProto(const Topology& topology);

absl::StatusOr<ModelIdentity> FromProto(const v1::ModelIdentity& proto);
v1::ModelIdentity ToProto(const ModelIdentity& model);

absl::StatusOr<ExpertSet> FromProto(const v1::ExpertSet& proto);
v1::ExpertSet ToProto(const ExpertSet& set);

absl::StatusOr<WorkerRole> FromProto(v1::WorkerRole proto);
v1::WorkerRole ToProto(WorkerRole role);

absl::StatusOr<WorkerState> FromProto(v1::WorkerState proto);
v1::WorkerState ToProto(WorkerState state);

Epoch FromProto(const v1::Epoch& proto);
v1::Epoch ToProto(const Epoch& epoch);

Incarnation FromProto(const v1::Incarnation& proto);
v1::Incarnation ToProto(const Incarnation& incarnation);

absl::StatusOr<ComputeClass> FromProto(const v1::ComputeClass& proto);
v1::ComputeClass ToProto(const ComputeClass& compute_class);

}  // namespace expertmesh
