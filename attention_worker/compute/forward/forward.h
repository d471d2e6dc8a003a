// forward.h: the layers of the model, in order: the compute half of an attention worker.
//
// Joins model/ (shapes, rope, names) with kernels/ (arithmetic). Every buffer is sized at Create
// from the row budget; a step puts ops on one stream and allocates nothing.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "attention_worker/compute/weights.h"
#include "attention_worker/core/layer_compute.h"
#include "kernels/ops.h"

namespace expertmesh {

struct ForwardOptions {
  bool widen = false;
  int32_t max_step_rows = 512;
  int32_t max_context = 4096;    // positions of one sequence
  int64_t cache_tokens = 32768;  // positions of all sequences together
};

// Latent-cache positions per block: divides the attention split of 512.
inline constexpr int32_t kLatentBlockRows = 64;

class Forward final : public LayerCompute {
 public:
  // All pointers outlive it; `done` gets the tokens of Load and Notify.
  // Errors  RESOURCE_EXHAUSTED: no memory for the cache or the activations; INVALID_ARGUMENT: the
  //         model has more experts than a gate takes (GateArgs::kExpertsMax).
  static absl::StatusOr<std::unique_ptr<Forward>> Create(const Checkpoint* checkpoint,
                                                         ForwardOptions options,
                                                         const Kernels* kernels, Device* device,
                                                         Notifier* done);
  ~Forward() override;

  const ModelShape& shape() const override { return shape_; }
  void Load(uint64_t token) override;
  absl::Status FinishLoad() override;
  void LoadProgress(uint64_t* loaded, uint64_t* wanted) const override;

  void Begin(const StepPlan& plan) override;
  void Embed() override;
  void Attention(int32_t layer) override;
  void Dense(int32_t layer) override;
  void Gate(int32_t layer) override;
  void Shared(int32_t layer) override;
  void Combine(int32_t layer) override;
  void Head() override;
  void Notify(uint64_t token) override { stream_->Notify(done_, token); }

  absl::Span<const int32_t> chosen_experts() const override;
  const std::byte* hidden_rows() const override;
  std::byte* expert_rows() override;
  StepOutput output(size_t i) override;

  // For golden tests: the residual stream [rows, hidden] of the step so far, and the logits of the
  // last outputs given to Head (at most kHeadRows of them, all tokens). Waits for the stream.
  ConstMatrix ResidualForTest();
  ConstMatrix LogitsForTest();

  static constexpr int32_t kHeadRows = 32;  // outputs whose logits are in memory at once

 private:
  Forward(const Checkpoint* checkpoint, ForwardOptions options, const Kernels* kernels,
          Device* device, Notifier* done);
  absl::Status Allocate();
  absl::Status AllocateActivations();
  absl::Status LoadAndTest();
  absl::Status SelfTest();
  LatentCache CacheOf(int32_t layer) const;
  RowTable Rows() const;
  void Ffn(const FfnWeights& weights, ConstMatrix x, Matrix y);
  void NormOutputs();
  void HeadTokens(int64_t first, int64_t count);
  Matrix View(const Buffer& buffer, int64_t cols) const;

  const Checkpoint* checkpoint_;
  const ModelConfig& config_;
  ForwardOptions options_;
  const Kernels* kernels_;
  Device* device_;
  Notifier* done_;
  ModelShape shape_;
  AttentionWeights weights_;
  std::vector<float> rope_table_;
  float softmax_scale_ = 0;

  Buffer cache_;  // [layers, blocks, block_rows, latent_width] f32
  // Activations, [max_step_rows, ...] f32 unless it says otherwise.
  Buffer residual_;       // hidden
  Buffer normed_;         // hidden: what the next sublayer reads, and what is dispatched
  Buffer query_low_;      // q_lora
  Buffer query_;          // heads * (dn + dr)
  Buffer latent_;         // dc + dr
  Buffer absorbed_;       // heads * (dc + dr)
  Buffer mixed_;          // heads * dc
  Buffer values_;         // heads * dv
  Buffer branch_;         // hidden: what a sublayer adds
  Buffer ffn_gate_;       // widest intermediate
  Buffer ffn_up_;         // widest intermediate
  Buffer router_logits_;  // experts
  Buffer chosen_;         // top_k i32
  Buffer gate_weights_;   // top_k
  Buffer expert_rows_;    // top_k * hidden
  // The head.
  Buffer head_in_;                     // [max_step_rows, hidden]: normed rows of the outputs
  Buffer logits_;                      // [kHeadRows, vocabulary]
  Buffer scaled_logits_, candidates_;  // the same, f32 and u64: scratch of Sample
  Buffer out_ids_;                     // [max_step_rows] i32
  Buffer out_logprobs_, out_targets_;  // [max_step_rows]
  Buffer out_top_;       // [max_step_rows, kMaxTopLogprobs] TopLogit; untouched pages cost nothing
  Buffer class_logits_;  // [max_step_rows, labels]; these pages, too

  // The step.
  const StepPlan* plan_ = nullptr;
  std::vector<LatentCopy> copies_;
  std::vector<SampleRow> sample_rows_;  // [outputs]
  int32_t top_stride_ = 0;
  std::vector<TokenLogprob> top_;  // of the output that was asked for last

  std::thread loader_;
  std::atomic<uint64_t> loaded_bytes_{0};
  uint64_t wanted_bytes_ = 0;
  std::atomic<bool> cancelled_{false};
  absl::Status load_result_;
  std::unique_ptr<Stream> stream_;  // last: its destructor finishes the work that runs
};

}  // namespace expertmesh
