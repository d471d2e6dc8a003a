#include "attention_worker/compute/forward/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "attention_worker/compute/forward/test_util.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

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
      {names::PostAttentionNorm(2), "tensor model.layers.2.post_attention_layernorm.weight"},
      {names::FinalNorm(), "tensor model.norm.weight: found nan at 47, expected finite numbers"},
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

TEST(ForwardLoad, RefusesMoreExpertsThanAGateTakes) {
  ModelConfig config = SmallModelConfig();
  config.gate_method = GateMethod::kGreedy;
  config.groups = config.groups_kept = 1;
  config.hidden = config.expert_intermediate = 4;
  for (bool fits : {true, false}) {
    config.routed_experts = GateArgs::kExpertsMax + (fits ? 0 : 1);
    const CheckpointFolder folder({}, config);
    const auto checkpoint = Checkpoint::Open(folder.path()).value();
    CpuDevice device({});
    const auto kernels = OpenClass(kCpuF32, device).value();
    Done done;
    const absl::Status status =
        Forward::Create(checkpoint.get(), {}, kernels.get(), &device, &done).status();
    EXPECT_EQ(status.ok(), fits) << status;
    if (fits) continue;
    EXPECT_THAT(
        std::string(status.message()),
        HasSubstr("config.json: field n_routed_experts: found 1025, expected at most 1024"));
  }
}

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
