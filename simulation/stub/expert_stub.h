// expert_stub.h: the expert worker's compute half with the stub model. Rows are read and written
// when their time has come, so memory that is given back too early shows.
#pragma once

#include <functional>
#include <vector>

#include "expert_worker/core/expert_compute.h"
#include "simulation/process.h"
#include "simulation/stub/layer_stub.h"
#include "simulation/stub/stub_model.h"

namespace expertmesh::simulation {

class ExpertStub final : public ExpertCompute {
 public:
  ExpertStub(const StubModel& model, ComputePace pace, Process* process,
             std::function<void(uint64_t)> computed);

  void Load(const ExpertSet& experts, uint64_t token) override;
  absl::Status FinishLoad() override;
  void Unload(const ExpertSet& experts) override { held_.RemoveAll(experts); }
  void LoadProgress(uint64_t* loaded, uint64_t* wanted) const override { *loaded = *wanted = 0; }
  void Run(int32_t layer, absl::Span<const PassRow> rows, uint64_t token) override;

  void FailNextLoad(bool fail) { fail_load_ = fail; }

 private:
  void RunRows();

  const StubModel& model_;
  const ComputePace pace_;
  Process* process_;
  std::function<void(uint64_t)> computed_;
  ExpertSet held_;
  ExpertSet loading_;
  bool fail_load_ = false;
  int32_t layer_ = 0;
  absl::Span<const PassRow> rows_;
};

}  // namespace expertmesh::simulation
