#include "model/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "model/checkpoint/test_util.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

std::unique_ptr<Checkpoint> MustOpen(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::Open(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return checkpoint.ok() ? *std::move(checkpoint) : nullptr;
}

ModelFingerprint FingerprintOf(const std::string& path) {
  absl::StatusOr<ModelFingerprint> fingerprint = MustOpen(path)->Fingerprint();
  EXPECT_TRUE(fingerprint.ok()) << fingerprint.status();
  return *fingerprint;
}

TEST(Checkpoint, OpensWhatTheConfigPromises) {
  CheckpointFolder folder;
  auto checkpoint = MustOpen(folder.path());
  ASSERT_NE(checkpoint, nullptr);
  EXPECT_EQ(checkpoint->config().hidden, SmallModelConfig().hidden);
  for (const TensorSpec& spec : RequiredTensors(checkpoint->config())) {
    const TensorInfo& info = checkpoint->tensor(spec.name);
    EXPECT_EQ(info.shape, spec.shape) << spec.name;
    EXPECT_EQ(info.dtype, DType::kBf16) << spec.name;
  }
  EXPECT_DEATH(checkpoint->tensor("model.layers.9.norm"), "is a tensor of this model");
}

TEST(Checkpoint, ReadsTheSameNumbersFromEveryDtypeAndSplit) {
  CheckpointFolder f32({.dtype = DType::kF32});
  CheckpointFolder bf16({.dtype = DType::kBf16, .f32_gate = true, .shards = 3});
  CheckpointFolder f16({.dtype = DType::kF16, .shards = 2});
  auto exact = MustOpen(f32.path());
  auto coarse = MustOpen(bf16.path());
  auto half = MustOpen(f16.path());
  EXPECT_EQ(coarse->tensor(names::Gate(1)).dtype, DType::kF32);
  for (const TensorSpec& spec : RequiredTensors(exact->config())) {
    const std::vector<float> values = *exact->ReadF32(spec.name);
    const std::vector<float> of_bf16 = *coarse->ReadF32(spec.name);
    const std::vector<float> of_f16 = *half->ReadF32(spec.name);
    ASSERT_EQ(of_bf16.size(), values.size());
    ASSERT_EQ(of_f16.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(of_bf16[i], values[i], std::abs(values[i]) / 256) << spec.name << i;
      ASSERT_NEAR(of_f16[i], values[i], std::abs(values[i]) / 2048 + 0x1p-14) << spec.name << i;
    }
  }
}

TEST(Checkpoint, ReadsRowsAsTheyAreStored) {
  CheckpointFolder folder({.dtype = DType::kF32, .shards = 3});
  auto checkpoint = MustOpen(folder.path());
  const std::string name = names::Expert(2, 5, names::Ffn::kDown);
  const std::vector<float> whole = *checkpoint->ReadF32(name);
  const int64_t width = checkpoint->config().expert_intermediate;
  std::vector<float> rows(3 * width);
  ASSERT_TRUE(checkpoint->ReadRows(name, 4, 3, rows.data()).ok());
  EXPECT_EQ(std::memcmp(rows.data(), whole.data() + 4 * width, rows.size() * sizeof(float)), 0);
  EXPECT_TRUE(checkpoint->ReadRows(name, 48, 0, nullptr).ok());
  EXPECT_DEATH((void)checkpoint->ReadRows(name, 46, 3, rows.data()), "rows of the tensor");

  std::vector<float> norm(48);
  ASSERT_TRUE(checkpoint->ReadRows(names::FinalNorm(), 0, 1, norm.data()).ok());
  EXPECT_EQ(norm, *checkpoint->ReadF32(names::FinalNorm()));
}

TEST(Checkpoint, ReadsAMatrixInPieces) {
  CheckpointFolder folder({.dtype = DType::kF32});
  auto checkpoint = MustOpen(folder.path());
  const std::string name = names::Expert(2, 5, names::Ffn::kDown);
  const std::vector<float> whole = *checkpoint->ReadF32(name);
  const int64_t width = checkpoint->config().expert_intermediate, rows = whole.size() / width;
  const size_t row_bytes = width * sizeof(float);
  for (const size_t piece_bytes : {size_t{1}, row_bytes, 5 * row_bytes + 3, 1000 * row_bytes}) {
    std::vector<std::byte> scratch;
    std::vector<float> seen;
    int64_t next = 0;
    const auto take = [&](int64_t first, int64_t count, const std::byte* data) {
      EXPECT_EQ(first, next);
      EXPECT_LE(count * row_bytes, std::max(piece_bytes, row_bytes));
      next += count;
      seen.resize(next * width);
      std::memcpy(seen.data() + first * width, data, count * row_bytes);
    };
    ASSERT_TRUE(checkpoint->ReadPieces(name, scratch, take, piece_bytes).ok());
    EXPECT_EQ(next, rows);
    EXPECT_EQ(seen, whole);
    EXPECT_LE(scratch.size(), std::max(piece_bytes, row_bytes));
  }
}

TEST(Checkpoint, ReportsDataThatIsGoneSinceItOpened) {
  CheckpointFolder folder;
  auto checkpoint = MustOpen(folder.path());
  const std::string last = names::Dense(0, names::Ffn::kUp);
  const TensorInfo& info = checkpoint->tensor(last);
  std::filesystem::resize_file(folder.File("model.safetensors"), info.offset + info.bytes - 1);
  const absl::Status status = checkpoint->ReadF32(last).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("tensor model.layers.0.mlp.up_proj.weight: model.safetensors: ends at byte"));
  EXPECT_TRUE(checkpoint->ReadF32(names::Embedding()).ok()) << "the rest can still be read";
}

TEST(Checkpoint, TakesEosFromTheGenerationConfigIfItHasAny) {
  CheckpointFolder folder;
  EXPECT_THAT(MustOpen(folder.path())->config().eos_token_ids, ElementsAre(1));
  folder.Write("generation_config.json", R"({"eos_token_id": [5, 6]})");
  EXPECT_THAT(MustOpen(folder.path())->config().eos_token_ids, ElementsAre(5, 6));
  folder.Write("generation_config.json", R"({"temperature": 0.3})");
  EXPECT_THAT(MustOpen(folder.path())->config().eos_token_ids, ElementsAre(1));
}

TEST(Checkpoint, IgnoresTensorsThatTheModelDoesNotRead) {
  CheckpointFolder folder;
  for (const char* name :
       {"model.layers.1.self_attn.rotary_emb.inv_freq", "model.layers.3.eh_proj.weight",
        "model.layers.61.mlp.gate.weight", "score.weight"}) {
    folder.AddTensor("model.safetensors", name, "I64", {3});
  }
  EXPECT_NE(MustOpen(folder.path()), nullptr);
}

TEST(Checkpoint, IgnoresTheHeadOfATiedModel) {
  ModelConfig config = SmallModelConfig();
  config.tied_head = true;
  CheckpointFolder folder({}, config);
  EXPECT_NE(MustOpen(folder.path()), nullptr);
  folder.AddTensor("model.safetensors", "lm_head.weight", "BF16", {2, 2});
  EXPECT_NE(MustOpen(folder.path()), nullptr);
}

TEST(Checkpoint, ReadsABareModelWithAndWithoutThePrefix) {
  ModelConfig config = SmallModelConfig();
  config.architecture = Architecture::kModel;
  for (int shards : {1, 3}) {
    CheckpointFolder folder({.shards = shards}, config);
    auto with = MustOpen(folder.path());
    const std::vector<float> values = *with->ReadF32(names::KvB(1));
    const auto strip = [](Json& object) {
      Json stripped = Json::object();
      for (auto& [name, value] : object.items()) {
        stripped[name.starts_with("model.") ? name.substr(6) : name] = value;
      }
      object = stripped;
    };
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      const std::string name = file.path().filename();
      if (name.ends_with(".safetensors")) {
        folder.EditTensors(name, [&](Json& header, std::string&) { strip(header); });
      } else if (name.ends_with("index.json")) {
        folder.EditJson(name, [&](Json& index) { strip(index["weight_map"]); });
      }
    }
    auto without = MustOpen(folder.path());
    ASSERT_NE(without, nullptr);
    EXPECT_EQ(*without->ReadF32(names::KvB(1)), values);
    if (shards > 1) continue;
    folder.AddTensor("model.safetensors", "lm_head.weight", "BF16", {2});
    EXPECT_NE(MustOpen(folder.path()), nullptr) << "a head that nobody reads";
    folder.AddTensor("model.safetensors", "layers.1.self_attn.q_a_proj.bias", "BF16", {2});
    EXPECT_THAT(std::string(Checkpoint::Open(folder.path()).status().message()),
                HasSubstr("tensor layers.1.self_attn.q_a_proj.bias: found shape [2]"));
  }
}

TEST(Checkpoint, ReadsExpertsOutOfOneTensor) {
  CheckpointFolder folder;
  auto single = MustOpen(folder.path());
  std::map<std::string, std::vector<float>> values;
  const ModelConfig config = SmallModelConfig();
  for (int64_t e = 0; e < config.routed_experts; ++e) {
    for (names::Ffn which : {names::Ffn::kGate, names::Ffn::kUp, names::Ffn::kDown}) {
      const std::string name = names::Expert(1, e, which);
      values[name] = *single->ReadF32(name);
    }
  }
  broken::Fuse(folder, config, 1);
  auto fused = MustOpen(folder.path());
  ASSERT_NE(fused, nullptr);
  for (const auto& [name, want] : values) EXPECT_EQ(*fused->ReadF32(name), want) << name;
  folder.EditTensors("model.safetensors", [&](Json& header, std::string&) {
    header[names::FusedDown(1)]["shape"] = {config.routed_experts, config.expert_intermediate,
                                            config.hidden};
  });
  EXPECT_THAT(
      std::string(Checkpoint::Open(folder.path()).status().message()),
      HasSubstr("mlp.experts.down_proj: found shape [8, 20, 48], expected shape [8, 48, 20]"));
}

TEST(Checkpoint, WidensFp8WithTheScaleOfItsBlock) {
  ModelConfig config = SmallModelConfig();
  config.dense_intermediate = 150;
  config.hidden = 300;
  CheckpointFolder folder({}, config);
  const std::string name = names::Dense(0, names::Ffn::kDown);
  broken::Quantise(folder, name, 300, 150);
  EXPECT_THAT(std::string(Checkpoint::Open(folder.path()).status().message()),
              HasSubstr("found dtype F8_E4M3, expected BF16, F16 or F32"));
  const Json quantization = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  folder.EditJson("config.json", [&](Json& json) { json["quantization_config"] = quantization; });
  auto checkpoint = MustOpen(folder.path());
  ASSERT_NE(checkpoint, nullptr);
  EXPECT_EQ(checkpoint->tensor(name).dtype, DType::kF32);
  EXPECT_EQ(checkpoint->tensor(name).bytes, 300u * 150);
  const std::vector<float> values = *checkpoint->ReadF32(name);
  for (int64_t row = 0; row < 300; ++row) {
    for (int64_t column = 0; column < 150; ++column) {
      const int64_t i = row * 150 + column;
      const float scale = 0.3f + static_cast<float>(row / 128 * 2 + column / 128);
      const auto bits = static_cast<uint8_t>(i * 7 % 251 % 127 + (i % 2 == 0 ? 128 : 0));
      ASSERT_EQ(values[i], F8E4m3ToF32(bits) * scale) << row << " " << column;
    }
  }
  // Another scale is another model.
  const ModelFingerprint fingerprint = FingerprintOf(folder.path());
  const TensorInfo& scale = *checkpoint->tensor(name).scale;
  const std::string bytes = folder.Read("model.safetensors").substr(scale.offset, 4);
  folder.Overwrite("model.safetensors", scale.offset, std::string("\x00\x00\x80\x3f", 4));
  EXPECT_NE(FingerprintOf(folder.path()), fingerprint);
  folder.Overwrite("model.safetensors", scale.offset, bytes);
  EXPECT_EQ(FingerprintOf(folder.path()), fingerprint);

  // In pieces, which begin and end within blocks.
  std::vector<std::byte> scratch;
  int64_t rows = 0;
  const auto compare = [&](int64_t first, int64_t count, const std::byte* bytes) {
    EXPECT_EQ(std::memcmp(bytes, &values[first * 150], count * 150 * sizeof(float)), 0);
    rows += count;
  };
  EXPECT_EQ(checkpoint->ReadPieces(name, scratch, compare, 50 * 150 * sizeof(float)),
            absl::OkStatus());
  EXPECT_EQ(rows, 300);
  folder.DropTensor("model.safetensors", name + "_scale_inv");
  EXPECT_THAT(std::string(Checkpoint::Open(folder.path()).status().message()),
              HasSubstr("down_proj.weight_scale_inv: found nothing, expected shape [3, 2]"));
}

TEST(Checkpoint, FollowsLinksAsDownloadCachesHaveThem) {
  CheckpointFolder real;
  CheckpointFolder links(CheckpointFolder::kEmpty);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(real.File(name), links.File(name));
  }
  EXPECT_EQ(FingerprintOf(links.path()), FingerprintOf(real.path()));
}

TEST(Checkpoint, PrefersTheSingleFileToAnIndex) {
  CheckpointFolder folder;
  folder.Write("model.safetensors.index.json", "{}");
  EXPECT_NE(MustOpen(folder.path()), nullptr);
}

TEST(Fingerprint, IsTheSameForACopyAndAnotherForAnyOtherModel) {
  CheckpointFolder folder;
  const ModelFingerprint fingerprint = FingerprintOf(folder.path());
  EXPECT_EQ(FingerprintOf(CheckpointFolder().path()), fingerprint);
  EXPECT_NE(FingerprintOf(CheckpointFolder({.seed = 2}).path()), fingerprint);
  EXPECT_NE(FingerprintOf(CheckpointFolder({.dtype = DType::kF16}).path()), fingerprint);
  EXPECT_NE(FingerprintOf(CheckpointFolder({.shards = 2}).path()), fingerprint);
  ModelConfig other = SmallModelConfig();
  other.routed_scaling = 2.25;
  EXPECT_NE(FingerprintOf(CheckpointFolder({}, other).path()), fingerprint);
}

TEST(Fingerprint, SeesAChangedExpertOfAnyLayer) {
  CheckpointFolder folder;
  const ModelFingerprint before = FingerprintOf(folder.path());
  const TensorInfo info = MustOpen(folder.path())->tensor(names::Expert(2, 2, names::Ffn::kDown));
  folder.Overwrite("model.safetensors", info.offset, "\x12");
  EXPECT_NE(FingerprintOf(folder.path()), before);
}

TEST(Checkpoint, OpensEveryCheckpointOfTheRepository) {
  std::vector<std::filesystem::path> folders = {EXPERTMESH_SOURCE_DIR "/models/tiny"};
  for (const auto& entry :
       std::filesystem::directory_iterator(EXPERTMESH_SOURCE_DIR "/tests/golden")) {
    if (std::filesystem::exists(entry.path() / "config.json")) folders.push_back(entry.path());
  }
  EXPECT_GT(folders.size(), 1u);
  for (const auto& folder : folders) {
    SCOPED_TRACE(folder);
    auto checkpoint = MustOpen(folder.string());
    ASSERT_NE(checkpoint, nullptr);
    EXPECT_TRUE(checkpoint->Fingerprint().ok());
    for (const TensorSpec& spec : RequiredTensors(checkpoint->config())) {
      const absl::StatusOr<std::vector<float>> values = checkpoint->ReadF32(spec.name);
      ASSERT_TRUE(values.ok()) << values.status();
      for (float value : *values) ASSERT_TRUE(std::isfinite(value)) << spec.name;
    }
  }
}

}  // namespace
}  // namespace expertmesh
