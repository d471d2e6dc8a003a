#include "cluster/topology.h"

#include "common/check.h"

namespace expertmesh {

absl::string_view Name(WorkerRole role) {
  return role == WorkerRole::kAttention ? "attention" : "expert";
}

absl::string_view Name(WorkerState state) {
  switch (state) {
    case WorkerState::kJoining:
      return "JOINING";
    case WorkerState::kLoading:
      return "LOADING";
    case WorkerState::kReady:
      return "READY";
    case WorkerState::kDraining:
      return "DRAINING";
    case WorkerState::kGone:
      return "GONE";
    case WorkerState::kLost:
      return "LOST";
  }
  return "UNKNOWN";
}

namespace {

bool Answers(const Member& member, const ExpertGrid& grid) {
  return member.role == WorkerRole::kExpert && Serves(member.state) && member.holds.grid() == grid;
}

}  // namespace

ExpertSet Uncovered(const Topology& topology) {
  ExpertSet uncovered = ExpertSet::Full(topology.model.grid);
  for (const Member& member : topology.members) {
    if (Answers(member, topology.model.grid)) uncovered.RemoveAll(member.holds);
  }
  return uncovered;
}

ReplicaTable::ReplicaTable(const Topology& topology) : grid_(topology.model.grid) {
  begin_.reserve(grid_.size() + 1);
  for (int32_t layer = grid_.first_layer; layer < grid_.first_layer + grid_.layers; ++layer) {
    for (int32_t expert = 0; expert < grid_.experts; ++expert) {
      begin_.push_back(static_cast<int32_t>(members_.size()));
      for (size_t i = 0; i < topology.members.size(); ++i) {
        const Member& member = topology.members[i];
        if (Answers(member, grid_) && member.holds.Contains(layer, expert)) {
          members_.push_back(static_cast<int32_t>(i));
        }
      }
    }
  }
  begin_.push_back(static_cast<int32_t>(members_.size()));
}

absl::Span<const int32_t> ReplicaTable::Of(int32_t layer, int32_t expert) const {
  const int32_t row = layer - grid_.first_layer;
  if (row < 0 || row >= grid_.layers || expert < 0 || expert >= grid_.experts) return {};
  const size_t i = static_cast<size_t>(row) * grid_.experts + expert;
  return absl::MakeConstSpan(members_).subspan(begin_[i], begin_[i + 1] - begin_[i]);
}

}  // namespace expertmesh
