// layer_stub.h: the attention worker's compute half with the stub model.
//
// As on a real stream, work that is put does not happen at once: everything before a Notify runs
// when its time has come, just before OnComputed. Results are poisoned as soon as nobody has a
// right to them, so that reading too early, too late, or rows that never came shows as wrong
// tokens.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attention_worker/core/layer_compute.h"
#include "simulation/process.h"
#include "simulation/stub/stub_model.h"

namespace expertmesh::simulation {

// How long things take, drawn anew each time.
struct ComputePace {
  Duration load_least{};
  Duration load_most{};
  Duration work_least{};
  Duration work_most{};
};

class LayerStub final : public LayerCompute {
 public:
  // `computed(token)` runs in the process's loop.
  LayerStub(const StubModel& model, int32_t block_rows, int32_t blocks, ComputePace pace,
            Process* process, std::function<void(uint64_t)> computed);

  const ModelShape& shape() const override { return shape_; }
  void Load(uint64_t token) override;
  absl::Status FinishLoad() override { return absl::OkStatus(); }
  void LoadProgress(uint64_t* loaded, uint64_t* wanted) const override { *loaded = *wanted = 0; }
  void Begin(const StepPlan& plan) override;
  void Embed() override;
  void Attention(int32_t layer) override;
  void Dense(int32_t layer) override;
  void Gate(int32_t layer) override;
  void Shared(int32_t layer) override;
  void Combine(int32_t layer) override;
  void Head() override;
  void Notify(uint64_t token) override;
  absl::Span<const int32_t> chosen_experts() const override { return experts_; }
  const std::byte* hidden_rows() const override;
  std::byte* expert_rows() override;
  StepOutput output(size_t i) override;

 private:
  struct Output {
    int32_t id = 0;
    std::vector<float> logprobs;
    std::vector<TokenLogprob> top;
  };
  uint64_t& Cell(int32_t layer, int32_t slot, int32_t position);
  void RunBegin();
  void RunAttention(int32_t layer);
  void RunDense(int32_t layer);
  void RunGate(int32_t layer);
  void RunShared(int32_t layer);
  void RunCombine(int32_t layer);
  void RunHead();

  const StubModel& model_;
  const ModelShape shape_;
  const ComputePace pace_;
  Process* process_;
  std::function<void(uint64_t)> computed_;
  std::vector<Task> stream_;     // put, not yet run
  std::vector<uint64_t> cache_;  // latents: [layer][block][row of the block]
  const StepPlan* plan_ = nullptr;
  std::vector<StubRow> x_;
  std::vector<StubRow> h_;
  std::vector<StubRow> shared_;
  std::vector<StubRow> expert_rows_;  // [rows * top_k]
  std::vector<int32_t> experts_;      // [rows, top_k]
  std::vector<float> weights_;        // [rows, top_k]
  std::vector<Output> outputs_;
};

}  // namespace expertmesh::simulation
