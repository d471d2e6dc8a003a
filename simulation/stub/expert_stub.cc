#include "simulation/stub/expert_stub.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {

ExpertStub::ExpertStub(const StubModel& model, ComputePace pace, Process* process,
                       std::function<void(uint64_t)> computed)
    : model_(model),
      pace_(pace),
      process_(process),
      computed_(std::move(computed)),
      held_(model.grid) {}

void ExpertStub::Load(const ExpertSet& experts, uint64_t token) {
  loading_ = experts;
  World& world = process_->world();
  const Duration takes = world.process_chance.Between(pace_.load_least, pace_.load_most);
  world.events.After(takes, [process = process_, computed = computed_, token] {
    process->Post([computed, token] { computed(token); });
  });
}

absl::Status ExpertStub::FinishLoad() {
  if (std::exchange(fail_load_, false)) return absl::DataLossError("the disk gave no bytes");
  held_.InsertAll(loading_);
  return absl::OkStatus();
}

void ExpertStub::Run(int32_t layer, absl::Span<const PassRow> rows, uint64_t token) {
  World& world = process_->world();
  layer_ = layer;
  rows_ = rows;
  const Duration takes = world.process_chance.Skewed(pace_.work_least, pace_.work_most);
  world.events.After(takes, [this, process = process_, token] {
    process->Post([this, token] {
      RunRows();
      computed_(token);
    });
  });
}

void ExpertStub::RunRows() {
  for (const PassRow& row : rows_) {
    if (!held_.Contains(layer_, row.expert)) {
      process_->world().Violate("runs_only_held_experts",
                                absl::StrCat(process_->label(), " runs layer ", layer_, " expert ",
                                             row.expert, ", which it has not loaded"));
      return;
    }
    StubRow in;
    std::memcpy(in.data(), row.input, sizeof(in));
    const StubRow out = model_.Expert(layer_, row.expert, in);
    std::memcpy(row.output, out.data(), sizeof(out));
  }
}

}  // namespace expertmesh::simulation
