// `expertmesh inspect`, asked of the real program: the published models' sizes by their config
// alone, and what workers really take of a checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "attention_worker/compute/weights.h"
#include "device/cpu/cpu_device.h"
#include "expert_worker/compute/shard.h"
#include "model/checkpoint/test_util.h"
#include "tests/integration/program.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kTiny[] = EXPERTMESH_SOURCE_DIR "/models/tiny";

json Inspected(const std::string& folder) {
  const Outcome outcome = RunProgram({"inspect", folder, "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  return json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
}

// The papers and READMEs have 15.7 B, 236 B and 671 B in all. Bytes are of bf16, V3's of fp8 with
// its scales and without the draft layer.
struct Published {
  const char* name;
  const char* architecture;
  int64_t total, active, per_expert, tensors, cache_bf16;
  uint64_t stored;
};
constexpr Published kPublished[] = {
    {"v2-lite", "DeepseekV2ForCausalLM", 15'706'484'224, 2'661'150'208, 8'650'752, 5'291, 31'104,
     31'412'968'448},
    {"coder-v2-lite", "DeepseekV2ForCausalLM", 15'706'484'224, 2'661'150'208, 8'650'752, 5'291,
     31'104, 31'412'968'448},
    {"v2", "DeepseekV2ForCausalLM", 235'741'434'880, 21'375'800'320, 23'592'960, 29'102, 69'120,
     471'482'869'760},
    {"v2.5", "DeepseekV2ForCausalLM", 235'741'434'880, 21'375'800'320, 23'592'960, 29'102, 69'120,
     471'482'869'760},
    {"v3", "DeepseekV3ForCausalLM", 671'026'404'352, 37'552'282'624, 44'040'192, 45'395, 70'272,
     673'150'611'808},
    {"r1", "DeepseekV3ForCausalLM", 671'026'404'352, 37'552'282'624, 44'040'192, 45'395, 70'272,
     673'150'611'808},
};

TEST(InspectCommand, GivesThePublishedSizesFromAConfigAlone) {
  for (const Published& model : kPublished) {
    SCOPED_TRACE(model.name);
    const json report =
        Inspected(std::string(EXPERTMESH_SOURCE_DIR "/tests/golden/published/") + model.name);
    ASSERT_TRUE(report.is_object());
    EXPECT_EQ(report["architecture"], model.architecture);
    EXPECT_EQ(report["parameters"]["total"], model.total);
    EXPECT_EQ(report["parameters"]["active"], model.active);
    EXPECT_EQ(report["parameters"]["per_expert"], model.per_expert);
    EXPECT_EQ(report["tensors"]["names"], model.tensors);
    EXPECT_EQ(report["cache"]["bytes_per_token_bf16"], model.cache_bf16);
    EXPECT_EQ(report["cache"]["bytes_per_token"], 2 * model.cache_bf16);
    EXPECT_EQ(report["weights"], false);
    EXPECT_EQ(report["stored_bytes"]["assumed"], true);
    EXPECT_EQ(report["stored_bytes"]["total"], model.stored);
  }
}

TEST(InspectCommand, GivesThePublishedGatesAndRopes) {
  const std::string folder = EXPERTMESH_SOURCE_DIR "/tests/golden/published/";
  const json lite = Inspected(folder + "v2-lite"), v2 = Inspected(folder + "v2"),
             v25 = Inspected(folder + "v2.5"), v3 = Inspected(folder + "v3");
  EXPECT_EQ(lite["gate"]["method"], "greedy");
  EXPECT_EQ(v2["gate"]["method"], "group_limited_greedy");
  EXPECT_EQ(v2["gate"]["groups_kept"], 3);
  EXPECT_EQ(v3["gate"]["method"], "noaux_tc");
  EXPECT_EQ(v3["gate"]["scores"], "sigmoid");
  EXPECT_EQ(v3["generation"], 3);
  EXPECT_NEAR(lite["rope"]["softmax_scale"].get<double>(), 0.1147213868, 1e-8);
  EXPECT_NEAR(v25["rope"]["softmax_scale"].get<double>(), 0.1352337789, 1e-8);
  EXPECT_NEAR(v3["rope"]["softmax_scale"].get<double>(), 0.1352337789, 1e-8);
  // In fp8 an expert has a byte for each weight, and one f32 for each block of 128 x 128.
  EXPECT_EQ(v3["stored_bytes"]["per_expert"], 44'040'192 + 44'040'192 / 128 / 128 * 4);
  EXPECT_EQ(v3["packed_bytes"]["per_expert"], 44'040'192 * 4ll);
  EXPECT_EQ(Inspected(folder + "r1")["gate"], v3["gate"]);
}

TEST(InspectCommand, TellsWhatTheWorkersTakeToTheByte) {
  ModelConfig biased = SmallModelConfig();
  biased.gate_method = GateMethod::kNoAux;
  biased.attention_bias = true;
  ModelConfig tied = SmallModelConfig();
  tied.tied_head = true;
  tied.q_lora_rank = 0;
  ModelConfig padded = SmallModelConfig();
  padded.kv_lora_rank = 40;
  padded.qk_nope_dim = 20;
  padded.v_dim = 12;
  for (const ModelConfig& config : {SmallModelConfig(), biased, tied, padded}) {
    for (DType dtype : {DType::kBf16, DType::kF16}) {
      const CheckpointFolder folder({.dtype = dtype, .f32_gate = true, .shards = 2}, config);
      const json report = Inspected(folder.path());
      ASSERT_TRUE(report.is_object());
      EXPECT_EQ(report["files"].size(), 2u);

      const auto checkpoint = Checkpoint::Open(folder.path()).value();
      CpuDevice device({});
      std::atomic<uint64_t> progress{0};
      const std::atomic<bool> cancelled{false};
      const auto weights =
          LoadAttentionWeights(*checkpoint, false, device, &progress, cancelled).value();
      size_t bytes = 0;
      for (const Buffer& buffer : weights.memory) bytes += buffer.bytes();
      EXPECT_EQ(report["attention_worker"]["weight_bytes"], bytes);

      const auto experts = LoadExperts(*checkpoint, ExpertSet::Full(GridOf(config)), false, device,
                                       &progress, cancelled)
                               .value();
      size_t expert_bytes = 0;
      for (const LoadedExpert& expert : experts) expert_bytes += expert.memory.bytes();
      EXPECT_EQ(report["expert_workers"][0]["weight_bytes_each"], expert_bytes);
      EXPECT_EQ(report["packed_bytes"]["per_expert"], ExpertBytes(*checkpoint, false));
    }
  }
}

TEST(InspectCommand, PrintsATableForPeople) {
  const Outcome outcome = RunProgram({"inspect", kTiny});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("complete: 198 tensors (198 BF16) in 1 file"));
  EXPECT_THAT(outcome.out, HasSubstr("2,215,488"));
  EXPECT_THAT(outcome.out, HasSubstr("tokenizer and chat template"));
  EXPECT_EQ(RunProgram({"inspect"}).code, 2);
  const Outcome none = RunProgram({"inspect", "/nonexistent", "--json"});
  EXPECT_EQ(none.code, 1);
  EXPECT_EQ(none.out, "");
  EXPECT_THAT(none.err, HasSubstr("NOT_FOUND: /nonexistent/"));
}

// ---- broken folders

std::vector<std::string> Generate(const std::string& folder) {
  return {"generate", "--model",      folder, "--token-ids", "5,6", "--max-tokens",
          "2",        "--min-tokens", "1"};
}

void ExpectRefused(const std::vector<std::string>& words, const std::string& message) {
  const Outcome outcome = RunProgram(words);
  EXPECT_EQ(outcome.code, 1) << words.front();
  EXPECT_EQ(outcome.out, "") << words.front();
  EXPECT_THAT(outcome.err, HasSubstr(message)) << words.front();
}

// One of each kind; model/checkpoint and coordinator/text have all cases.
broken::Cases OneOfEachKind() {
  const broken::Damage fp8 =
      broken::Field(broken::kConfig, "/quantization_config",
                    {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}});
  const std::string output = names::Output(0);
  const broken::Damage no_scale = [=](const CheckpointFolder& f) {
    broken::Quantise(f, output, 48, 64);
    f.DropTensor(broken::kModel, output + "_scale_inv");
  };
  const CheckpointOptions sharded = {.shards = 2};
  const auto invalid = absl::StatusCode::kInvalidArgument;
  return {
      {"a config with NaN",
       broken::Replace(broken::kConfig, "\"rope_theta\": 10000.0", "\"rope_theta\": NaN"),
       "config.json: not JSON at byte"},
      {"another architecture",
       broken::Field(broken::kConfig, "/architectures", broken::Json::array({"LlamaForCausalLM"})),
       "config.json: field architectures: found \"LlamaForCausalLM\", expected "
       "DeepseekV2ForCausalLM"},
      {"too many experts chosen", broken::Field(broken::kConfig, "/num_experts_per_tok", 5),
       "config.json: field num_experts_per_tok: found 5, expected an integer in [1, 4]"},
      {"an end outside the vocabulary",
       broken::Text(broken::kGeneration, R"({"eos_token_id": 2000000000})"),
       "generation_config.json: field eos_token_id: found 2000000000, expected an integer"},
      {"cut off", broken::CutTo(broken::kModel, 20000), "tensor"},
      {"a header of another file",
       broken::Text(broken::kModel, "version https://git-lfs.github.com/spec/v1"),
       "model.safetensors: not safetensors: found a header length of"},
      {"a pipe", broken::Pipe(broken::kModel), "model.safetensors: expected a regular file"},
      {"a dangling link", broken::Link(broken::kModel, "gone"),
       "model.safetensors: found a link that leads nowhere"},
      {"no expert", broken::Without(names::Expert(2, 7, names::Ffn::kDown)),
       "tensor model.layers.2.mlp.experts.7.down_proj.weight: found nothing, expected shape"},
      {"fp8 without a scale", broken::Both(fp8, no_scale),
       "o_proj.weight_scale_inv: found nothing"},
      {"a missing shard", broken::Remove(broken::kShard2), broken::kShard2, invalid, sharded},
      {"an index that leads outside",
       broken::Field(broken::kIndex, "/weight_map/model.norm.weight", "../x.safetensors"),
       "found file \"../x.safetensors\", expected the name of a .safetensors file", invalid,
       sharded},
      {"a tokenizer of another model", broken::Text("tokenizer.json", "{"),
       "tokenizer.json: not JSON at byte"},
  };
}

TEST(BrokenCheckpoints, EndEveryProgramWithAMessageAndNothingElse) {
  for (const broken::Broken& broken : OneOfEachKind()) {
    SCOPED_TRACE(broken.what);
    const CheckpointFolder folder(broken.options, broken.config);
    broken.damage(folder);
    ExpectRefused({"inspect", folder.path()}, broken.message);
    ExpectRefused({"inspect", folder.path(), "--json"}, broken.message);
    ExpectRefused(Generate(folder.path()), broken.message);
  }
}

// What is wrong in the data itself is found when it is loaded.
TEST(BrokenCheckpoints, EndGenerateWhereTheirWeightsAreNotNumbers) {
  ModelConfig config = SmallModelConfig();
  config.gate_method = GateMethod::kNoAux;
  const std::pair<std::string, std::string> cases[] = {
      {names::GateBias(2), "tensor model.layers.2.mlp.gate.e_score_correction_bias: found nan"},
      {names::KvB(1), "self-test: layer 1 gives a value that is not finite"},
      {names::Expert(1, 3, names::Ffn::kUp), "expert 3 of layer 1 gives nan"},
  };
  for (const auto& [tensor, message] : cases) {
    SCOPED_TRACE(tensor);
    const CheckpointFolder folder({}, config);
    const TensorInfo info = Checkpoint::Open(folder.path()).value()->tensor(tensor);
    folder.Overwrite(broken::kModel, info.offset + info.bytes - 2, "\xc0\x7f");  // bf16 NaN
    EXPECT_EQ(RunProgram({"inspect", folder.path()}).code, 0) << "it reads no data";
    ExpectRefused(Generate(folder.path()), message);
  }
}

TEST(BrokenCheckpoints, EndGenerateWhereAGateWouldHaveTooManyExperts) {
  ModelConfig config = SmallModelConfig();
  config.gate_method = GateMethod::kGreedy;
  config.groups = config.groups_kept = 1;
  config.hidden = config.expert_intermediate = 4;
  config.routed_experts = 1025;
  const CheckpointFolder folder({}, config);
  ExpectRefused(Generate(folder.path()), "field n_routed_experts: found 1025, expected at most");
}

}  // namespace
}  // namespace expertmesh
