// layer_compute.h: what an attention worker's protocol asks of its compute half.
//
// One step goes through the layers as a state machine (step.h): each call here puts work on the
// stream and returns at once. The host reads results only after OnComputed of a Notify that was
// called after the work. simulation/ puts a stub here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "attention_worker/core/sampling_state.h"
#include "cluster/topology.h"
#include "generation/delta.h"

namespace expertmesh {

// What the core must know of the model.
struct ModelShape {
  int32_t layers = 0;
  ExpertGrid grid;     // layers below grid.first_layer are dense
  int32_t hidden = 0;  // elements of a dispatched row
  int32_t top_k = 0;
  int32_t block_rows = 0;   // positions per latent-cache block
  int32_t blocks = 0;       // of the latent cache
  int64_t token_bytes = 0;  // of it, for one position
  // Attending to so many positions is as much work as all else of a row; 0: it is as good as none.
  int64_t positions_per_row = 0;
};

// Rows [0, rows) of block `from` are to be copied to block `to`, in every layer.
struct BlockCopy {
  int32_t from = 0;
  int32_t to = 0;
  int32_t rows = 0;
};

// The rows of one step. Arrays have one entry per row; rows of a sequence are adjacent and ascend
// in position. `slots` says which row of `blocks` is the sequence's.
struct StepPlan {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> slots;
  std::vector<int32_t> blocks;  // [slots, blocks_stride]
  int32_t blocks_stride = 0;
  std::vector<BlockCopy> copies;  // of the latent cache, made before anything of it is read
  // The rows of which something is wanted, ascending.
  struct Output {
    enum class Wanted : uint8_t { kToken, kHidden, kClasses };

    int32_t row = 0;
    // Of a token:
    int32_t target = -1;  // the id whose logprob is wanted too; -1: none
    int32_t top = 0;      // how many of the most likely ids
    // How its id is chosen; null: the most likely one. It does not change while the step goes on.
    const SamplingState* sampling = nullptr;

    Wanted wanted = Wanted::kToken;
  };
  std::vector<Output> outputs;

  int32_t rows() const { return static_cast<int32_t>(tokens.size()); }
  void Clear();
};

// What came of one output of a plan.
struct StepOutput {
  int32_t id = 0;
  float logprob = 0;
  float target_logprob = 0;
  absl::Span<const TokenLogprob> top;
  // Of kHidden the final hidden state, [hidden], after the last norm; of kClasses, [classes]
  // logits.
  absl::Span<const float> values;
};

// One step at a time; call order is step.h's. All memory is sized at start.
class LayerCompute {
 public:
  virtual ~LayerCompute() = default;
  // Known from the start.
  virtual const ModelShape& shape() const = 0;

  // Reads and packs the weights in the background; OnComputed(token) follows, then FinishLoad says
  // what came of it. Nothing else is called before.
  virtual void Load(uint64_t token) = 0;
  virtual absl::Status FinishLoad() = 0;
  virtual void LoadProgress(uint64_t* loaded, uint64_t* wanted) const = 0;

  // `plan` stays until the step's last OnComputed.
  virtual void Begin(const StepPlan& plan) = 0;
  virtual void Embed() = 0;
  virtual void Attention(int32_t layer) = 0;  // x += MLA(norm(x)); h = norm(x)
  virtual void Dense(int32_t layer) = 0;      // x += ffn(h)
  virtual void Gate(int32_t layer) = 0;       // top-k experts and weights of every h
  virtual void Shared(int32_t layer) = 0;     // s = shared(h), if the model has shared experts
  virtual void Combine(int32_t layer) = 0;    // x += weighted expert rows + s
  virtual void Head() = 0;                    // the outputs of the plan

  // OnComputed(token) when all work put so far is done.
  virtual void Notify(uint64_t token) = 0;

  // After OnComputed of Gate: [rows, top_k], in gate order.
  virtual absl::Span<const int32_t> chosen_experts() const = 0;
  // After OnComputed of Gate: h, [rows, hidden] in the wire's dtype. Stays until Combine.
  virtual const std::byte* hidden_rows() const = 0;
  // For the host to fill before Combine: [rows * top_k, hidden] in the wire's dtype.
  virtual std::byte* expert_rows() = 0;
  // After OnComputed of Head: output i of the plan; its spans stay until the next call.
  virtual StepOutput output(size_t i) = 0;
};

}  // namespace expertmesh
