// test_util.h: the layers of a small checkpoint with its experts on the spot, step by step.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "attention_worker/compute/forward/forward.h"
#include "common/mailbox.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {

class Done final : public Notifier {
 public:
  void OnPassed(uint64_t token) override { tokens_.Post(token); }
  void Wait(uint64_t token) {
    std::vector<uint64_t> tokens;
    tokens_.Drain(Now() + std::chrono::seconds(30), tokens);
    ASSERT_EQ(tokens, std::vector<uint64_t>{token});
  }

 private:
  Mailbox<uint64_t> tokens_;
};

// The routed experts of a checkpoint, on the spot: one row at a time.
class LocalExperts {
 public:
  LocalExperts(const Checkpoint& checkpoint, const Kernels& kernels, Device& device)
      : config_(checkpoint.config()), kernels_(kernels), stream_(device.NewStream()) {
    for (int64_t layer = config_.first_moe_layer; layer < config_.layers; ++layer) {
      for (int64_t e = 0; e < config_.routed_experts; ++e) {
        experts_.push_back({Pack(checkpoint, names::Expert(layer, e, names::Ffn::kGate)),
                            Pack(checkpoint, names::Expert(layer, e, names::Ffn::kUp)),
                            Pack(checkpoint, names::Expert(layer, e, names::Ffn::kDown))});
      }
    }
  }

  void Run(int32_t layer, int32_t expert, const std::byte* in, std::byte* out) {
    const int64_t h = config_.hidden, i = config_.expert_intermediate;
    const size_t at = (layer - config_.first_moe_layer) * config_.routed_experts + expert;
    const ExpertWeights* weights = &experts_[at];
    const RowGroup group{0, 0, 1};
    std::vector<float> scratch(2 * i);
    kernels_.ExpertFfn(*stream_, F32Matrix(reinterpret_cast<const float*>(in), 1, h),
                       absl::MakeConstSpan(&group, 1), absl::MakeConstSpan(&weights, 1),
                       F32Matrix(reinterpret_cast<float*>(out), 1, h),
                       F32Matrix(scratch.data(), 1, 2 * i));
    stream_->Synchronize();
  }

 private:
  PackedLinear Pack(const Checkpoint& checkpoint, const std::string& name) {
    const std::vector<float> values = checkpoint.ReadF32(name).value();
    const int64_t n = checkpoint.tensor(name).shape[0], k = checkpoint.tensor(name).shape[1];
    memory_.emplace_back(PackedBytes(n, k, DType::kF32));
    PackRows(values.data(), DType::kF32, 0, n, k, DType::kF32, memory_.back().data());
    return ViewPacked(memory_.back().data(), DType::kF32, n, k);
  }

  const ModelConfig& config_;
  const Kernels& kernels_;
  std::vector<std::vector<std::byte>> memory_;
  std::vector<ExpertWeights> experts_;
  std::unique_ptr<Stream> stream_;
};

// One sequence: its tokens, and its blocks of the latent cache.
struct Sequence {
  std::vector<int32_t> tokens;
  std::vector<int32_t> blocks;
};

// Positions [first, first + count) of one sequence in a step.
struct Chunk {
  const Sequence* sequence = nullptr;
  int32_t first = 0;
  int32_t count = 0;
};

// What the model says at one position, as bits: next id, its logprob, the next token's, three ids.
using Said = std::vector<uint32_t>;

class Rig {
 public:
  explicit Rig(const CheckpointFolder& folder, int threads = 1, int32_t max_step_rows = 700)
      : device_({.threads = threads}),
        checkpoint_(Checkpoint::Open(folder.path()).value()),
        kernels_(OpenClass(kCpuF32, device_).value()),
        experts_(*checkpoint_, *kernels_, device_) {
    ForwardOptions options;
    options.max_step_rows = max_step_rows;
    options.max_context = 700;
    options.cache_tokens = 64 * kBlocks;
    forward_ =
        Forward::Create(checkpoint_.get(), options, kernels_.get(), &device_, &done_).value();
  }

  absl::Status Load() {
    forward_->Load(1);
    done_.Wait(1);
    return forward_->FinishLoad();
  }

  // One step over these chunks; what is said at each of their positions, in order.
  std::vector<Said> Step(const std::vector<Chunk>& chunks) {
    Plan(chunks);
    forward_->Begin(plan_);
    forward_->Embed();
    const ModelShape& shape = forward_->shape();
    for (int32_t layer = 0; layer < shape.layers; ++layer) {
      forward_->Attention(layer);
      if (shape.grid.layers == 0 || layer < shape.grid.first_layer) {
        forward_->Dense(layer);
        continue;
      }
      forward_->Gate(layer);
      Wait();
      RunExperts(layer);
      forward_->Shared(layer);
      forward_->Combine(layer);
    }
    forward_->Head();
    Wait();
    std::vector<Said> said;
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const StepOutput output = forward_->output(i);
      Said bits = {static_cast<uint32_t>(output.id), std::bit_cast<uint32_t>(output.logprob),
                   std::bit_cast<uint32_t>(output.target_logprob)};
      for (const TokenLogprob& top : output.top) bits.push_back(static_cast<uint32_t>(top.id));
      said.push_back(std::move(bits));
    }
    return said;
  }

  static constexpr int32_t kBlocks = 32;    // of 64 positions
  std::set<int32_t> wanted;                 // rows whose logits are; empty: all
  const SamplingState* sampling = nullptr;  // how every id is chosen

  // What the op chooses from the logits of the last outputs.
  std::vector<int32_t> ChosenBy(const SampleRow& row) {
    const ConstMatrix logits = forward_->LogitsForTest();
    const std::vector<SampleRow> rows(logits.rows, row);
    std::vector<int32_t> ids(logits.rows);
    std::vector<float> logprobs(logits.rows), targets(logits.rows);
    std::vector<float> scaled(logits.rows * logits.cols);
    std::vector<uint64_t> order(scaled.size());
    SampleArgs args;
    args.logits = logits;
    args.rows = rows;
    args.ids = ids.data();
    args.logprobs = logprobs.data();
    args.target_logprobs = targets.data();
    args.scaled = scaled.data();
    args.order = order.data();
    const std::unique_ptr<Stream> stream = device_.NewStream();
    kernels_->Sample(*stream, args);
    stream->Synchronize();
    return ids;
  }

 private:
  void Wait() {
    forward_->Notify(++token_);
    done_.Wait(token_);
  }
  void Plan(const std::vector<Chunk>& chunks) {
    plan_.Clear();
    for (const Chunk& chunk : chunks) {
      plan_.blocks_stride =
          std::max(plan_.blocks_stride, static_cast<int32_t>(chunk.sequence->blocks.size()));
    }
    int32_t slot = 0;
    for (const Chunk& chunk : chunks) {
      const Sequence& sequence = *chunk.sequence;
      plan_.blocks.insert(plan_.blocks.end(), sequence.blocks.begin(), sequence.blocks.end());
      plan_.blocks.resize(static_cast<size_t>(slot + 1) * plan_.blocks_stride, 0);
      for (int32_t p = chunk.first; p < chunk.first + chunk.count; ++p) {
        const bool last = p + 1 == static_cast<int32_t>(sequence.tokens.size());
        if (wanted.empty() || wanted.contains(plan_.rows())) {
          plan_.outputs.push_back({plan_.rows(), last ? -1 : sequence.tokens[p + 1], 3, sampling});
        }
        plan_.tokens.push_back(sequence.tokens[p]);
        plan_.positions.push_back(p);
        plan_.slots.push_back(slot);
      }
      ++slot;
    }
  }
  void RunExperts(int32_t layer) {
    const size_t row_bytes = forward_->shape().hidden * sizeof(float);
    const size_t top_k = forward_->shape().top_k;
    const absl::Span<const int32_t> chosen = forward_->chosen_experts();
    ASSERT_EQ(chosen.size(), plan_.rows() * top_k);
    for (size_t slot = 0; slot < chosen.size(); ++slot) {
      experts_.Run(layer, chosen[slot], forward_->hidden_rows() + slot / top_k * row_bytes,
                   forward_->expert_rows() + slot * row_bytes);
    }
  }

  Done done_;
  CpuDevice device_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Kernels> kernels_;
  LocalExperts experts_;
  std::unique_ptr<Forward> forward_;
  StepPlan plan_;
  uint64_t token_ = 1;
};

inline std::vector<int32_t> Tokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 200);
  return tokens;
}

// All positions of one sequence, in chunks.
inline std::vector<Said> InChunks(Rig& rig, const Sequence& sequence, int32_t chunk) {
  std::vector<Said> said;
  const int32_t length = static_cast<int32_t>(sequence.tokens.size());
  for (int32_t first = 0; first < length; first += chunk) {
    const std::vector<Said> part = rig.Step({{&sequence, first, std::min(chunk, length - first)}});
    said.insert(said.end(), part.begin(), part.end());
  }
  return said;
}

inline void ExpectSame(const std::vector<Said>& got, const std::vector<Said>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t p = 0; p < got.size(); ++p) ASSERT_EQ(got[p], want[p]) << "position " << p;
}

inline std::vector<int32_t> Blocks(int32_t first, int32_t count) {
  std::vector<int32_t> blocks(count);
  std::iota(blocks.begin(), blocks.end(), first);
  return blocks;
}

}  // namespace expertmesh
