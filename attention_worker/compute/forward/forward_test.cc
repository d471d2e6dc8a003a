#include "attention_worker/compute/forward/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/mailbox.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

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

  static constexpr int32_t kBlocks = 32;  // of 64 positions
  std::set<int32_t> wanted;               // rows whose logits are; empty: all

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
          plan_.outputs.push_back({plan_.rows(), last ? -1 : sequence.tokens[p + 1], 3});
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

std::vector<int32_t> Tokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 200);
  return tokens;
}

// All positions of one sequence, in chunks.
std::vector<Said> InChunks(Rig& rig, const Sequence& sequence, int32_t chunk) {
  std::vector<Said> said;
  const int32_t length = static_cast<int32_t>(sequence.tokens.size());
  for (int32_t first = 0; first < length; first += chunk) {
    const std::vector<Said> part = rig.Step({{&sequence, first, std::min(chunk, length - first)}});
    said.insert(said.end(), part.begin(), part.end());
  }
  return said;
}

void ExpectSame(const std::vector<Said>& got, const std::vector<Said>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t p = 0; p < got.size(); ++p) ASSERT_EQ(got[p], want[p]) << "position " << p;
}

std::vector<int32_t> Blocks(int32_t first, int32_t count) {
  std::vector<int32_t> blocks(count);
  std::iota(blocks.begin(), blocks.end(), first);
  return blocks;
}

TEST(Forward, SaysTheSameOfAPromptHoweverItIsCut) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  const Sequence sequence{Tokens(150, 1), Blocks(0, 3)};
  const std::vector<Said> whole = InChunks(rig, sequence, 150);
  for (int32_t chunk : {1, 2, 7, 33, 64, 149}) {
    SCOPED_TRACE(absl::StrCat("chunks of ", chunk));
    ExpectSame(InChunks(rig, sequence, chunk), whole);
  }
}

TEST(Forward, SaysTheSamePastTheEdgeOfAnAttentionSplit) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  const Sequence sequence{Tokens(540, 2), Blocks(0, 9)};  // splits are of 512 positions
  const std::vector<Said> whole = InChunks(rig, sequence, 540);
  for (int32_t chunk : {100, 256}) ExpectSame(InChunks(rig, sequence, chunk), whole);
}

TEST(Forward, SaysTheSameWhereverTheBlocksLieAndWithAnyThreads) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  Sequence sequence{Tokens(150, 3), Blocks(0, 3)};
  const std::vector<Said> whole = InChunks(rig, sequence, 150);
  sequence.blocks = {31, 4, 17};
  ExpectSame(InChunks(rig, sequence, 40), whole);
  Rig threaded(folder, 3);
  ASSERT_TRUE(threaded.Load().ok());
  ExpectSame(InChunks(threaded, sequence, 40), whole);
}

TEST(Forward, SaysTheSameInTheCompanyOfOthers) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  const Sequence a{Tokens(70, 4), {3, 9}}, b{Tokens(40, 5), {0}}, c{Tokens(130, 6), {5, 1, 8}};
  const std::vector<Said> a_alone = InChunks(rig, a, 70), b_alone = InChunks(rig, b, 40),
                          c_alone = InChunks(rig, c, 130);
  // a decodes from 60 on, b and c are prompts in chunks.
  rig.Step({{&a, 0, 60}});
  std::vector<Said> of_a(a_alone.begin(), a_alone.begin() + 60), of_b, of_c;
  for (int32_t step = 0; step < 10; ++step) {
    const std::vector<Said> said =
        rig.Step({{&a, 60 + step, 1}, {&b, step * 4, 4}, {&c, step * 13, 13}});
    of_a.push_back(said[0]);
    of_b.insert(of_b.end(), said.begin() + 1, said.begin() + 5);
    of_c.insert(of_c.end(), said.begin() + 5, said.end());
  }
  ExpectSame(of_a, a_alone);
  ExpectSame(of_b, b_alone);
  ExpectSame(of_c, c_alone);
}

// The model in its other shapes: without q_lora, shared experts, dense layers, or routed ones.
TEST(Forward, KeepsItsPromiseInEveryShapeOfTheModel) {
  for (int shape = 0; shape < 5; ++shape) {
    SCOPED_TRACE(shape);
    ModelConfig config = SmallModelConfig();
    if (shape == 0) config.q_lora_rank = 0;
    if (shape == 1) config.shared_experts = 0;
    if (shape == 2) config.first_moe_layer = 0;
    if (shape == 3) config.first_moe_layer = config.layers;
    if (shape == 4) config.tied_head = true;
    const CheckpointFolder folder({}, config);
    Rig rig(folder);
    ASSERT_TRUE(rig.Load().ok());
    const Sequence sequence{Tokens(70, 7), Blocks(2, 2)};
    ExpectSame(InChunks(rig, sequence, 9), InChunks(rig, sequence, 70));
  }
}

TEST(Forward, TellsTheMostLikelyFirstAndTheTargetsLogprob) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  Sequence sequence{Tokens(40, 8), Blocks(0, 1)};  // more outputs than logits are kept of
  const std::vector<Said> said = InChunks(rig, sequence, 40);
  ASSERT_EQ(said.size(), 40u);
  for (const Said& at : said) {
    ASSERT_EQ(at.size(), 6u);
    EXPECT_EQ(at[3], at[0]) << "the first of the top ids is the choice";
  }
  // Let the choice at position 35 be the next token: then its logprob is the target's.
  sequence.tokens[36] = static_cast<int32_t>(said[35][0]);
  const std::vector<Said> again = InChunks(rig, sequence, 40);
  EXPECT_EQ(again[35][2], again[35][1]);
  EXPECT_EQ(again[35][1], said[35][1]) << "a later token changes nothing before it";
}

TEST(Forward, TellsOfTheRowsThatAreAskedForAlone) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ASSERT_TRUE(rig.Load().ok());
  const Sequence sequence{Tokens(60, 9), Blocks(0, 1)};
  const std::vector<Said> all = InChunks(rig, sequence, 60);
  for (const std::set<int32_t>& rows :
       {std::set<int32_t>{59}, {0, 1, 2, 30, 31, 58}, {5, 7, 9, 11, 12, 13, 59}}) {
    rig.wanted = rows;
    const std::vector<Said> said = InChunks(rig, sequence, 60);
    std::vector<Said> expected;
    for (int32_t row : rows) expected.push_back(all[row]);
    ExpectSame(said, expected);
  }
}

// ---- start

TEST(ForwardLoad, FindsWeightsThatAreNotNumbersByTheirLayer) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {names::Dense(0, names::Ffn::kUp), "layer 0"},
      {names::KvB(1), "layer 1"},
      {names::Gate(1), "layer 1"},
      {names::Shared(2, names::Ffn::kDown), "layer 2"},
      {names::PostAttentionNorm(2), "layer 2"},
      {names::FinalNorm(), "the head"},
      {names::Head(), "the head"},
  };
  for (const auto& [tensor, text] : cases) {
    const CheckpointFolder folder;
    {
      const auto checkpoint = Checkpoint::Open(folder.path()).value();
      const TensorInfo& info = checkpoint->tensor(tensor);
      folder.Overwrite("model.safetensors", info.offset + info.bytes - 2, "\xc0\x7f");  // bf16 NaN
    }
    Rig rig(folder);
    const absl::Status status = rig.Load();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << tensor << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text)) << tensor;
  }
}

TEST(ForwardLoad, AFileThatIsCutShortAfterOpenIsDataLossByName) {
  const CheckpointFolder folder;
  Rig rig(folder);
  std::filesystem::resize_file(folder.File("model.safetensors"), 5000);
  const absl::Status status = rig.Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.safetensors"));
}

TEST(ForwardLoad, SaysItsShape) {
  const CheckpointFolder folder;
  const auto checkpoint = Checkpoint::Open(folder.path()).value();
  CpuDevice device({});
  const auto kernels = OpenClass(kCpuF32, device).value();
  Done done;
  ForwardOptions options;
  options.max_step_rows = 8;
  options.cache_tokens = 65;
  const auto forward =
      Forward::Create(checkpoint.get(), options, kernels.get(), &device, &done).value();
  const ModelShape& shape = forward->shape();
  EXPECT_EQ(shape.layers, 3);
  EXPECT_EQ(shape.grid, (ExpertGrid{1, 2, 8}));
  EXPECT_EQ(shape.hidden, 48);
  EXPECT_EQ(shape.top_k, 3);
  EXPECT_EQ(shape.block_rows, 64);
  EXPECT_EQ(shape.blocks, 2) << "65 positions take two blocks";
  forward->Load(1);  // and goes while it loads
}

// A device whose memory is gone after so many bytes of one buffer.
class SmallDevice final : public Device {
 public:
  explicit SmallDevice(size_t bytes) : bytes_(bytes) {}
  absl::StatusOr<Buffer> Allocate(size_t bytes) override {
    if (bytes > bytes_) return absl::ResourceExhaustedError("no memory");
    return cpu_.Allocate(bytes);
  }
  std::unique_ptr<Stream> NewStream() override { return cpu_.NewStream(); }
  MemoryKind memory_kind() const override { return MemoryKind::kHost; }

 private:
  CpuDevice cpu_{{}};
  size_t bytes_;
};

TEST(ForwardLoad, SaysWhichFlagAsksForTooMuchMemory) {
  const CheckpointFolder folder;
  const auto checkpoint = Checkpoint::Open(folder.path()).value();
  CpuDevice cpu({});
  const auto kernels = OpenClass(kCpuF32, cpu).value();
  Done done;
  ForwardOptions options;
  options.max_step_rows = 8;
  options.cache_tokens = 64;  // 30,720 bytes; the most that 8 rows need at once is 65,536
  for (auto [bytes, flag] :
       {std::pair<size_t, const char*>{30000, "--cache-tokens"}, {60000, "--max-step-rows"}}) {
    SmallDevice device(bytes);
    const absl::Status status =
        Forward::Create(checkpoint.get(), options, kernels.get(), &device, &done).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr(flag));
  }
}

}  // namespace
}  // namespace expertmesh
