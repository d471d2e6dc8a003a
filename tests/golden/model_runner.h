// model_runner.h: the model without a cluster: one step at a time through LayerCompute, the routed
// experts computed on the spot. For tests that look inside.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>

#include "attention_worker/compute/forward/forward.h"
#include "common/mutex.h"
#include "device/cpu/cpu_device.h"
#include "expert_worker/compute/expert_forward.h"

namespace expertmesh {

class ModelRunner {
 public:
  static absl::StatusOr<std::unique_ptr<ModelRunner>> Open(const std::string& checkpoint);

  // Called after the embedding (layer -1) and after each layer, with the residual stream.
  using LayerProbe = std::function<void(int32_t layer, ConstMatrix residual)>;
  // Called for each MoE layer with the chosen experts, [rows, top_k].
  using GateProbe = std::function<void(int32_t layer, absl::Span<const int32_t> chosen)>;

  // Runs the plan to its head.
  void Run(const StepPlan& plan, const LayerProbe& on_layer, const GateProbe& on_gate);

  // Logits of the plan's outputs (at most Forward::kHeadRows of them).
  ConstMatrix logits() { return attention_->LogitsForTest(); }
  StepOutput output(size_t i) { return attention_->output(i); }
  const ModelConfig& config() const { return checkpoint_->config(); }

 private:
  // Waits for the tokens that compute halves give.
  class Done final : public Notifier {
   public:
    void OnPassed(uint64_t token) override;
    void Wait(uint64_t token);

   private:
    Mutex mutex_;
    std::condition_variable changed_;
    uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  };

  ModelRunner() = default;
  void RunExperts(int32_t layer, const StepPlan& plan);

  Done done_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<CpuDevice> device_;
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Forward> attention_;
  std::unique_ptr<ExpertForward> experts_;
  uint64_t next_token_ = 1;
};

}  // namespace expertmesh
