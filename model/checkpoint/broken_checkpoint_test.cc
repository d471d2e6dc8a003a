// Checkpoints that are broken in one way each: the message must name the file and the tensor or
// field, what was found and what was expected.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "model/checkpoint/checkpoint.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr char kConfig[] = "config.json";
constexpr char kModel[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr char kShard1[] = "model-00001-of-000002.safetensors";
constexpr char kShard2[] = "model-00002-of-000002.safetensors";

using Damage = std::function<void(const CheckpointFolder&)>;

struct Broken {
  const char* what;
  Damage damage;
  const char* message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

void ExpectRefused(const Broken& broken, const CheckpointOptions& options) {
  SCOPED_TRACE(broken.what);
  CheckpointFolder folder(options);
  broken.damage(folder);
  const absl::Status status = Checkpoint::Open(folder.path()).status();
  EXPECT_EQ(status.code(), broken.code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(broken.message));
}

Damage Remove(const char* name) {
  return [=](const CheckpointFolder& f) { std::filesystem::remove(f.File(name)); };
}

Damage Text(const char* name, const char* text) {
  return [=](const CheckpointFolder& f) { f.Write(name, text); };
}

Damage Field(const char* file, const char* pointer, Json value) {
  return [=](const CheckpointFolder& f) {
    f.EditJson(file, [&](Json& json) { json[Json::json_pointer(pointer)] = value; });
  };
}

Damage Tensor(const char* name, const std::function<void(Json&)>& edit) {
  return [=](const CheckpointFolder& f) {
    f.EditTensors(kModel, [&](Json& header, std::string&) { edit(header[name]); });
  };
}

Damage Without(const std::string& name) {
  return [=](const CheckpointFolder& f) { f.DropTensor(kModel, name); };
}

Damage With(const char* name, const char* dtype) {
  return [=](const CheckpointFolder& f) { f.AddTensor(kModel, name, dtype, {2}); };
}

TEST(BrokenCheckpoint, IsRefusedForItsConfig) {
  const absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
  const std::vector<Broken> cases = {
      {"no config", Remove(kConfig), "config.json", kNotFound},
      {"empty config", Text(kConfig, ""), "config.json: not JSON at byte"},
      {"config is a list", Text(kConfig, "[]"), "config.json: found an array of 0"},
      {"doubled key", Text(kConfig, R"({"model_type": "a", "model_type": "b"})"),
       "config.json: key model_type stands there twice"},
      {"V3", Field(kConfig, "/model_type", "deepseek_v3"),
       R"(config.json: field architectures: found "DeepseekV2ForCausalLM", expected DeepseekV3)"},
      {"a huge config",
       [](const CheckpointFolder& f) { f.Write(kConfig, std::string((1 << 20) + 1, ' ')); },
       "config.json: found 1048577 bytes, expected at most 1048576"},
      {"bad generation config", Text("generation_config.json", "{"),
       "generation_config.json: not JSON at byte"},
      {"bad eos", Text("generation_config.json", R"({"eos_token_id": -3})"),
       "generation_config.json: field eos_token_id: found -3"},
      {"more heads than weights", Field(kConfig, "/num_key_value_heads", 5),
       "config.json: field num_key_value_heads: found 5, expected 4"},
      {"absurd sizes", Field(kConfig, "/num_hidden_layers", 4096),
       "model.safetensors: tensor model.layers.3.input_layernorm.weight: found nothing"},
      {"absurd experts", Field(kConfig, "/n_routed_experts", 65536),
       "tensor model.layers.1.mlp.gate.weight: found shape [8, 48], expected shape [65536, 48]"},
  };
  for (const Broken& broken : cases) ExpectRefused(broken, {});
}

TEST(BrokenCheckpoint, IsRefusedForItsFiles) {
  const absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
  const std::vector<Broken> cases = {
      {"no weights", Remove(kModel),
       "found neither model.safetensors nor model.safetensors.index.json", kNotFound},
      {"empty weights", Text(kModel, ""), "model.safetensors: not safetensors: found 0 bytes"},
      {"a git lfs pointer", Text(kModel, "version https://git-lfs.github.com/spec/v1"),
       "model.safetensors: not safetensors: found a header length of"},
      {"a folder in place of the weights",
       [](const CheckpointFolder& f) {
         std::filesystem::remove(f.File(kModel));
         std::filesystem::create_directory(f.File(kModel));
       },
       "model.safetensors: expected a regular file"},
      {"a pipe in place of the weights",
       [](const CheckpointFolder& f) {
         std::filesystem::remove(f.File(kModel));
         ASSERT_EQ(mkfifo(f.File(kModel).c_str(), 0600), 0);
       },
       "model.safetensors: expected a regular file"},
      {"cut off in the data",
       [](const CheckpointFolder& f) {
         std::filesystem::resize_file(f.File(kModel), f.Read(kModel).size() - 1);
       },
       "bytes of data (is the file cut off?)"},
      {"cut off in the header",
       [](const CheckpointFolder& f) { std::filesystem::resize_file(f.File(kModel), 100); },
       "model.safetensors: not safetensors: found a header length of"},
      {"bytes after the data",
       [](const CheckpointFolder& f) { f.Write(kModel, f.Read(kModel) + "x"); },
       "model.safetensors: the tensors end at byte"},
      {"a header of spaces", [](const CheckpointFolder& f) { f.Overwrite(kModel, 8, " "); },
       "model.safetensors: header: not"},
  };
  for (const Broken& broken : cases) ExpectRefused(broken, {});
}

TEST(BrokenCheckpoint, IsRefusedForItsTensors) {
  const std::vector<Broken> cases = {
      {"no norm", Without("model.norm.weight"),
       "model.safetensors: tensor model.norm.weight: found nothing, expected shape [48]"},
      {"no head", Without("lm_head.weight"),
       "tensor lm_head.weight: found nothing, expected shape [200, 48]"},
      {"no expert", Without("model.layers.2.mlp.experts.7.down_proj.weight"),
       "tensor model.layers.2.mlp.experts.7.down_proj.weight: found nothing, expected shape [48, "
       "20]"},
      {"transposed",
       Tensor("model.layers.0.self_attn.o_proj.weight",
              [](Json& t) {
                t["shape"] = {64, 48};
              }),
       "tensor model.layers.0.self_attn.o_proj.weight: found shape [64, 48], expected shape [48, "
       "64]"},
      {"another rank",
       Tensor("model.norm.weight",
              [](Json& t) {
                t["shape"] = {48, 1};
              }),
       "tensor model.norm.weight: found shape [48, 1], expected shape [48]"},
      {"integers", Tensor("model.norm.weight", [](Json& t) { t["dtype"] = "I16"; }),
       "tensor model.norm.weight: found dtype I16, expected BF16, F16 or F32"},
      {"an unknown dtype", Tensor("model.norm.weight", [](Json& t) { t["dtype"] = "F13"; }),
       "model.safetensors: tensor model.norm.weight: found dtype F13"},
      {"a dtype of another width", Tensor("model.norm.weight", [](Json& t) { t["dtype"] = "F32"; }),
       "tensor model.norm.weight: found data_offsets of 96 bytes, expected 192"},
      {"overlap",
       Tensor("model.norm.weight",
              [](Json& t) {
                for (Json& offset : t["data_offsets"]) offset = offset.get<uint64_t>() - 2;
              }),
       "(overlaps the tensor before it)"},
      {"a bias", With("model.layers.0.self_attn.o_proj.bias", "BF16"),
       "tensor model.layers.0.self_attn.o_proj.bias: found shape [2], expected no such tensor"},
      {"a bias on the head", With("lm_head.bias", "BF16"), "tensor lm_head.bias: found shape [2]"},
      {"the scale of fp8", With("model.layers.1.mlp.gate.weight_scale_inv", "F32"),
       "tensor model.layers.1.mlp.gate.weight_scale_inv: found shape [2], expected no such"},
      {"the bias of V3's gate", With("model.layers.1.mlp.gate.e_score_correction_bias", "F32"),
       "e_score_correction_bias: found shape [2], expected no such tensor"},
      {"one expert too many", With("model.layers.1.mlp.experts.8.up_proj.weight", "BF16"),
       "experts.8.up_proj.weight: found shape [2], expected no such tensor"},
      {"a layer whose number is none", With("model.layers.x.weight", "BF16"),
       "tensor model.layers.x.weight"},
  };
  for (const Broken& broken : cases) ExpectRefused(broken, {});
}

TEST(BrokenCheckpoint, IsRefusedForItsShards) {
  const absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
  const char* norm = "model.norm.weight";
  const std::vector<Broken> cases = {
      {"a shard is missing", Remove(kShard2), kShard2, kNotFound},
      {"the index is no JSON", Text(kIndex, "{"), "model.safetensors.index.json: not JSON at byte"},
      {"no weight_map", Text(kIndex, R"({"metadata": {}})"),
       "model.safetensors.index.json: field weight_map: found nothing, expected an object"},
      {"an empty weight_map", Text(kIndex, R"({"weight_map": {}})"),
       "field weight_map: found an object of 0"},
      {"a file that is a number", Field(kIndex, "/weight_map/model.norm.weight", 1),
       "tensor model.norm.weight: found file 1, expected the name of a .safetensors file"},
      {"a path upwards", Field(kIndex, "/weight_map/model.norm.weight", "../x.safetensors"),
       R"(found file "../x.safetensors", expected)"},
      {"an absolute path", Field(kIndex, "/weight_map/model.norm.weight", "/x.safetensors"),
       R"(found file "/x.safetensors", expected)"},
      {"a path with a NUL",
       Field(kIndex, "/weight_map/model.norm.weight", std::string("x\0.safetensors", 14)),
       R"(found file "x\x00.safetensors", expected)"},
      {"another format", Field(kIndex, "/weight_map/model.norm.weight", "pytorch_model.bin"),
       R"(found file "pytorch_model.bin", expected)"},
      {"a tensor that the map lacks",
       [=](const CheckpointFolder& f) {
         f.EditJson(kIndex, [&](Json& json) { json["weight_map"].erase(norm); });
       },
       "model.safetensors.index.json: tensor model.norm.weight: found nothing in weight_map"},
      {"a tensor in another shard", Field(kIndex, "/weight_map/model.norm.weight", kShard2),
       "model-00002-of-000002.safetensors: tensor model.norm.weight: found it in "
       "model-00001-of-000002.safetensors, expected it here"},
      {"a tensor that no shard has",
       [=](const CheckpointFolder& f) { f.DropTensor(kShard1, norm); },
       "model-00001-of-000002.safetensors: tensor model.norm.weight: found nothing, expected "
       "shape"},
      {"a tensor that two shards have",
       [=](const CheckpointFolder& f) { f.AddTensor(kShard2, norm, "BF16", {48}); },
       "model-00002-of-000002.safetensors: tensor model.norm.weight: found it in "
       "model-00001-of-000002.safetensors too"},
      {"a shard is damaged", [](const CheckpointFolder& f) { f.Overwrite(kShard2, 9, "x"); },
       "model-00002-of-000002.safetensors: header: not JSON at byte"},
      {"an unknown tensor in a shard",
       [](const CheckpointFolder& f) { f.AddTensor(kShard2, "model.extra", "BF16", {2}); },
       "model-00002-of-000002.safetensors: tensor model.extra: found shape [2]"},
  };
  for (const Broken& broken : cases) ExpectRefused(broken, {.shards = 2});
}

TEST(BrokenCheckpoint, IsRefusedForTooManyShards) {
  CheckpointFolder folder({.shards = 2});
  Json map = Json::object();
  for (int i = 0; i <= 1000; ++i) map["t" + std::to_string(i)] = std::to_string(i) + ".safetensors";
  folder.Write(kIndex, Json({{"weight_map", map}}).dump());
  EXPECT_THAT(std::string(Checkpoint::Open(folder.path()).status().message()),
              HasSubstr("field weight_map: found 1001 files, expected at most 1000"));
}

TEST(BrokenCheckpoint, IsRefusedForAFolderThatIsNone) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  EXPECT_TRUE(absl::IsNotFound(Checkpoint::Open(folder.path()).status()));
  EXPECT_TRUE(absl::IsNotFound(Checkpoint::Open(folder.File("none")).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Checkpoint::Open("").status()));
}

}  // namespace
}  // namespace expertmesh
