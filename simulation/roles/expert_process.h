// expert_process.h: an expert worker: the real ExpertNode over stub compute.
#pragma once

#include <memory>

#include "expert_worker/core/expert_node.h"
#include "simulation/roles/worker_process.h"
#include "simulation/stub/expert_stub.h"

namespace expertmesh::simulation {

struct ExpertSettings {
  uint64_t room = 1 << 20;  // experts that fit
  size_t max_pass_rows = 16;
  ComputePace pace;
};

class ExpertProcess final : public WorkerProcess {
 public:
  ExpertProcess(World* world, Monitor* monitor, Network* network, ProcessIdentity identity,
                std::string coordinator_address, OnExit on_exit, const StubModel& model,
                const ExpertSettings& settings);
  ~ExpertProcess() override;

  const ExpertNode* expert_node() const { return node_.get(); }
  WorkerRole role() const override { return WorkerRole::kExpert; }
  const WorkerNode* worker_node() const override { return node_.get(); }
  absl::Status Judge(const Hello& peer) override;
  void Discard() override;
  void Drain() override { node_->Drain(now()); }
  void FailNextLoad(bool fail) { compute_.FailNextLoad(fail); }

 private:
  WorkerNode* node() override { return node_.get(); }
  void Inspect() override;

  ExpertStub compute_;
  std::unique_ptr<ExpertNode> node_;
};

}  // namespace expertmesh::simulation
