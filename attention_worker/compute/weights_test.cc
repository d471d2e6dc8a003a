#include "attention_worker/compute/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <filesystem>

#include "device/cpu/cpu_device.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;
using Rows = std::vector<float>;

class WeightsTest : public testing::Test {
 protected:
  void Open(const CheckpointFolder& folder) {
    auto checkpoint = Checkpoint::Open(folder.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    checkpoint_ = *std::move(checkpoint);
  }
  absl::StatusOr<AttentionWeights> Load(bool widen = false) {
    return LoadAttentionWeights(*checkpoint_, widen, device_, &progress_, cancelled_);
  }

  Rows Read(const std::string& name) { return checkpoint_->ReadF32(name).value(); }

  static float At(const PackedLinear& packed, int64_t row, int64_t column) {
    const int64_t i = row * packed.k_stride + column;
    return packed.dtype == DType::kF32 ? static_cast<const float*>(packed.data)[i]
                                       : Bf16ToF32(static_cast<const uint16_t*>(packed.data)[i]);
  }
  // `packed` is the matrix `name` as it is stored.
  void ExpectIs(const PackedLinear& packed, const std::string& name) {
    const Rows values = Read(name);
    ASSERT_EQ(packed.n * packed.k, static_cast<int64_t>(values.size())) << name;
    for (int64_t n = 0; n < packed.n; ++n) {
      for (int64_t k = 0; k < packed.k; ++k) {
        ASSERT_EQ(At(packed, n, k), values[n * packed.k + k]) << name << " " << n << ", " << k;
      }
    }
  }
  void ExpectIs(const float* vector, const std::string& name) {
    const Rows values = Read(name);
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(vector[i], values[i]) << name << " " << i;
  }
  void ExpectIs(const FfnWeights& ffn, std::string (*name)(int64_t, names::Ffn), int64_t layer) {
    ExpectIs(ffn.gate, name(layer, names::Ffn::kGate));
    ExpectIs(ffn.up, name(layer, names::Ffn::kUp));
    ExpectIs(ffn.down, name(layer, names::Ffn::kDown));
  }
  // kv_b, head by head: dn rows of keys, which the absorbed form uses transposed, and dv of values.
  void ExpectSplit(const LayerWeights& weights, int64_t layer) {
    const ModelConfig& c = checkpoint_->config();
    const Rows kv_b = Read(names::KvB(layer));
    const int64_t dc = c.kv_lora_rank, dn = c.qk_nope_dim, dv = c.v_dim;
    ASSERT_EQ(weights.key_up.n, c.heads * dc);
    ASSERT_EQ(weights.key_up.k, dn);
    ASSERT_EQ(weights.value_up.n, c.heads * dv);
    ASSERT_EQ(weights.value_up.k, dc);
    for (int64_t head = 0; head < c.heads; ++head) {
      const float* of_head = kv_b.data() + head * (dn + dv) * dc;
      for (int64_t j = 0; j < dc; ++j) {
        for (int64_t i = 0; i < dn; ++i) {
          ASSERT_EQ(At(weights.key_up, head * dc + j, i), of_head[i * dc + j]);
        }
        for (int64_t i = 0; i < dv; ++i) {
          ASSERT_EQ(At(weights.value_up, head * dv + i, j), of_head[(dn + i) * dc + j]);
        }
      }
    }
  }

  CpuDevice device_{{}};
  std::atomic<uint64_t> progress_{0};
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_F(WeightsTest, AreTheCheckpointsInTheirPlaces) {
  for (DType dtype : {DType::kBf16, DType::kF32}) {
    const CheckpointFolder folder({.dtype = dtype, .shards = 2});
    Open(folder);
    auto weights = Load();
    ASSERT_TRUE(weights.ok()) << weights.status();
    ExpectIs(weights->embedding, names::Embedding());
    ExpectIs(weights->head, names::Head());
    ExpectIs(weights->final_norm, names::FinalNorm());
    ASSERT_EQ(weights->layers.size(), 3u);
    for (int64_t layer = 0; layer < 3; ++layer) {
      const LayerWeights& w = weights->layers[layer];
      ExpectIs(w.input_norm, names::InputNorm(layer));
      ExpectIs(w.post_attention_norm, names::PostAttentionNorm(layer));
      ExpectIs(w.query_a, names::QueryA(layer));
      ExpectIs(w.query_a_norm, names::QueryANorm(layer));
      ExpectIs(w.query_b, names::QueryB(layer));
      EXPECT_EQ(w.query.data, nullptr);
      ExpectIs(w.kv_a, names::KvA(layer));
      ExpectIs(w.kv_a_norm, names::KvANorm(layer));
      ExpectSplit(w, layer);
      ExpectIs(w.output, names::Output(layer));
      EXPECT_EQ(w.dense.gate.data != nullptr, layer == 0);
      EXPECT_EQ(w.router.data != nullptr, layer > 0);
    }
    ExpectIs(weights->layers[0].dense, names::Dense, 0);
    for (int64_t layer : {1, 2}) {
      ExpectIs(weights->layers[layer].router, names::Gate(layer));
      EXPECT_EQ(weights->layers[layer].router.dtype, DType::kF32) << "the gate is always f32";
      ExpectIs(weights->layers[layer].shared, names::Shared, layer);
    }
  }
}

TEST_F(WeightsTest, HaveOneQueryMatrixWithoutLora) {
  ModelConfig config = SmallModelConfig();
  config.q_lora_rank = 0;
  const CheckpointFolder folder({}, config);
  Open(folder);
  auto weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status();
  ExpectIs(weights->layers[2].query, names::Query(2));
  EXPECT_EQ(weights->layers[2].query_a.data, nullptr);
}

TEST_F(WeightsTest, HaveNoSharedExpertsWhereTheModelHasNone) {
  ModelConfig config = SmallModelConfig();
  config.shared_experts = 0;
  const CheckpointFolder folder({}, config);
  Open(folder);
  auto weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->layers[1].shared.gate.data, nullptr);
  EXPECT_NE(weights->layers[1].router.data, nullptr);
}

TEST_F(WeightsTest, AreHeldOnceWhenTheHeadIsTied) {
  ModelConfig config = SmallModelConfig();
  config.tied_head = true;
  const CheckpointFolder folder({}, config);
  Open(folder);
  auto weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->head.data, weights->embedding.data);
  ExpectIs(weights->head, names::Embedding());
}

TEST_F(WeightsTest, AreF32WhenWidened) {
  const CheckpointFolder folder;
  Open(folder);
  auto narrow = Load(false), wide = Load(true);
  ASSERT_TRUE(narrow.ok() && wide.ok());
  EXPECT_EQ(narrow->layers[0].dense.up.dtype, DType::kBf16);
  EXPECT_EQ(wide->layers[0].dense.up.dtype, DType::kF32);
  ExpectIs(wide->layers[0].dense.up, names::Dense(0, names::Ffn::kUp));
  ExpectSplit(wide->layers[1], 1);
}

TEST_F(WeightsTest, HaveVectorsThatAreFiniteOrAreRefusedByName) {
  ModelConfig config = SmallModelConfig();
  config.gate_method = GateMethod::kNoAux;
  config.attention_bias = true;
  const std::string numbers[] = {"\xc0\x7f", "\x80\xff"};  // bf16 NaN and -inf
  for (const std::string& name : {names::GateBias(2), names::QueryABias(0), names::KvABias(1),
                                  names::OutputBias(2), names::KvANorm(1), names::FinalNorm()}) {
    for (const std::string& number : numbers) {
      const CheckpointFolder folder({}, config);
      Open(folder);
      ASSERT_TRUE(Load().ok());
      folder.Overwrite("model.safetensors", checkpoint_->tensor(name).offset + 2, number);
      Open(folder);
      const absl::Status status = Load().status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(status.message()), HasSubstr("tensor " + name + ": found "));
      EXPECT_THAT(std::string(status.message()), HasSubstr(" at 1, expected finite numbers"));
    }
  }
}

TEST_F(WeightsTest, AreNotTheRoutedExperts) {
  const CheckpointFolder folder;
  Open(folder);
  const std::string first = names::Expert(1, 0, names::Ffn::kGate);
  uint64_t matrices = 0;  // bytes of all that is a matrix and no routed expert
  for (const TensorSpec& spec : RequiredTensors(checkpoint_->config())) {
    const bool routed = spec.name.find(".mlp.experts.") != std::string::npos;
    if (!routed && spec.shape.size() == 2) matrices += checkpoint_->tensor(spec.name).bytes;
  }
  ASSERT_TRUE(Load().ok());
  EXPECT_EQ(progress_, matrices);
  EXPECT_EQ(AttentionMatrixBytes(*checkpoint_), matrices);
}

TEST_F(WeightsTest, StopLoadingWhenTold) {
  const CheckpointFolder folder;
  Open(folder);
  cancelled_ = true;
  EXPECT_EQ(Load().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(WeightsTest, OfAFileThatIsCutShortAfterOpenAreDataLossByName) {
  for (const std::string& name : {names::Embedding(), names::KvANorm(0), names::KvB(2)}) {
    const CheckpointFolder folder;
    Open(folder);
    // The file is in the order of its tensors: what lies before the cut is read, the tensor is not.
    std::filesystem::resize_file(folder.File("model.safetensors"),
                                 checkpoint_->tensor(name).offset + 3);
    const absl::Status status = Load().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("model.safetensors"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

}  // namespace
}  // namespace expertmesh
