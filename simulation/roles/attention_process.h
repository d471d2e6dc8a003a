// attention_process.h: an attention worker: the real AttentionNode over stub compute.
#pragma once

#include <memory>

#include "attention_worker/core/attention_node.h"
#include "simulation/network/sim_port.h"
#include "simulation/roles/worker_process.h"
#include "simulation/stub/layer_stub.h"

namespace expertmesh::simulation {

struct AttentionSettings {
  int32_t block_rows = 4;
  int32_t blocks = 32;
  BatchOptions batch;
  int32_t max_waiting = 64;
  RetryBudgetOptions retries;
  Duration coverage_wait = std::chrono::seconds(30);
  Duration hedge_after{};
  KeptAnswersOptions kept;
  ComputePace pace;
};

class AttentionProcess final : public WorkerProcess, private AttentionPort {
 public:
  AttentionProcess(World* world, Monitor* monitor, Network* network, ProcessIdentity identity,
                   std::string coordinator_address, OnExit on_exit, const StubModel& model,
                   const AttentionSettings& settings);
  ~AttentionProcess() override;

  const AttentionNode* attention_node() const { return node_.get(); }
  WorkerRole role() const override { return WorkerRole::kAttention; }
  const WorkerNode* worker_node() const override { return node_.get(); }
  absl::Status Judge(const Hello& peer) override;
  void OnMessage(ChannelId channel, Message message) override;
  void Discard() override;
  void Drain() override { node_->Drain(now()); }

 private:
  WorkerNode* node() override { return node_.get(); }
  void Inspect() override;
  void Start() override { WorkerProcess::Start(); }

  // For the requests' door.
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override;
  void Cancel(RequestId id) override;
  void Detach(RequestId id) override { node_->Detach(id, now()); }
  void Forget(const KeptAnswer& kept) override { node_->Forget(kept.key); }

  LayerStub compute_;
  RequestServer requests_;
  std::unique_ptr<AttentionNode> node_;
};

}  // namespace expertmesh::simulation
