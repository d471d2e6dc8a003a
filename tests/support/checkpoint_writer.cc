#include "tests/support/checkpoint_writer.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/check.h"
#include "common/hash.h"
#include "common/status.h"
#include "model/tensor_names.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kChunkValues = uint64_t{1} << 16;

struct StoredTensor {
  TensorSpec spec;
  DType dtype;

  uint64_t values() const {
    uint64_t product = 1;
    for (int64_t size : spec.shape) product *= static_cast<uint64_t>(size);
    return product;
  }
  uint64_t bytes() const { return values() * SizeOf(dtype); }
};

// The values of one tensor: uniform in center +- radius.
struct Range {
  float center = 0;
  float radius = 0;
};

Range RangeOf(const TensorSpec& spec, const ModelConfig& config) {
  if (absl::EndsWith(spec.name, "bias")) return {0.0f, 0.1f};
  if (spec.shape.size() == 1) return {1.0f, 0.2f};
  double deviation = 1 / std::sqrt(static_cast<double>(spec.shape[1]));
  if (spec.name == names::Embedding()) {
    deviation = config.tied_head ? 3 * deviation : 1;  // a tied head reads it too
  } else if (spec.name == names::Head() || absl::EndsWith(spec.name, ".mlp.gate.weight")) {
    deviation *= 3;
  } else if (absl::StrContains(spec.name, ".mlp.experts.") &&
             absl::EndsWith(spec.name, ".down_proj.weight")) {
    deviation *= 2 / config.routed_scaling;
  }
  return {0.0f, static_cast<float>(deviation * std::sqrt(3.0))};
}

// A hash of (key, place): SplitMix64, whose streams need no state, so that chunks need no order.
uint64_t Mix(uint64_t key, uint64_t place) {
  uint64_t z = key + (place + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Nearest even, for |value| in f16's normal range; smaller ones become 0.
uint16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) return sign;
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

void Append(std::string& out, float value, DType dtype) {
  if (dtype == DType::kF32) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return;
  }
  const uint16_t bits = dtype == DType::kBf16 ? F32ToBf16(value) : F32ToF16(value);
  out.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
}

void WriteValues(std::ofstream& file, const StoredTensor& tensor, const ModelConfig& config,
                 uint64_t seed) {
  const Range range = RangeOf(tensor.spec, config);
  const uint64_t key = Hash64(tensor.spec.name.data(), tensor.spec.name.size(), seed);
  std::string chunk;
  for (uint64_t begin = 0; begin < tensor.values(); begin += kChunkValues) {
    const uint64_t end = std::min(tensor.values(), begin + kChunkValues);
    chunk.clear();
    for (uint64_t i = begin; i < end; ++i) {
      const float unit = static_cast<float>(Mix(key, i) >> 40) * 0x1p-23f - 1.0f;  // in [-1, 1)
      Append(chunk, range.center + range.radius * unit, tensor.dtype);
    }
    file.write(chunk.data(), static_cast<std::streamsize>(chunk.size()));
  }
}

absl::Status Close(std::ofstream& file, const std::string& path) {
  file.close();
  return file ? absl::OkStatus() : absl::ErrnoToStatus(errno, path);
}

absl::Status WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  return Close(file, path);
}

absl::Status WriteShard(const std::string& path, const std::vector<StoredTensor>& tensors,
                        const ModelConfig& config, uint64_t seed) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    const char* dtype = tensor.dtype == DType::kF32   ? "F32"
                        : tensor.dtype == DType::kF16 ? "F16"
                                                      : "BF16";
    header[tensor.spec.name] = {{"dtype", dtype},
                                {"shape", tensor.spec.shape},
                                {"data_offsets", {offset, offset + tensor.bytes()}}};
    offset += tensor.bytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof(length));
  file << text;
  for (const StoredTensor& tensor : tensors) WriteValues(file, tensor, config, seed);
  return Close(file, path);
}

std::vector<StoredTensor> StoredTensors(const ModelConfig& config,
                                        const CheckpointOptions& options) {
  std::vector<StoredTensor> tensors;
  for (TensorSpec& spec : RequiredTensors(config)) {
    const bool gate = absl::EndsWith(spec.name, ".mlp.gate.weight");
    tensors.push_back({std::move(spec), options.f32_gate && gate ? DType::kF32 : options.dtype});
  }
  return tensors;
}

// Consecutive parts of about equal bytes.
std::vector<std::vector<StoredTensor>> Split(std::vector<StoredTensor> tensors, int shards) {
  uint64_t total = 0;
  for (const StoredTensor& tensor : tensors) total += tensor.bytes();
  std::vector<std::vector<StoredTensor>> parts(static_cast<size_t>(shards));
  uint64_t offset = 0;
  for (StoredTensor& tensor : tensors) {
    const uint64_t bytes = tensor.bytes();
    parts[offset * parts.size() / total].push_back(std::move(tensor));
    offset += bytes;
  }
  return parts;
}

Json YarnJson(const YarnConfig& yarn) {
  Json json = {{"type", "yarn"},
               {"factor", yarn.factor},
               {"original_max_position_embeddings", yarn.original_max_position},
               {"beta_fast", yarn.beta_fast},
               {"beta_slow", yarn.beta_slow},
               {"mscale", yarn.mscale},
               {"mscale_all_dim", yarn.mscale_all_dim},
               {"truncate", yarn.truncate}};
  if (yarn.attention_factor != 0) json["attention_factor"] = yarn.attention_factor;
  return json;
}

}  // namespace

ModelConfig SmallModelConfig() {
  ModelConfig config;
  config.vocabulary = 200;
  config.hidden = 48;
  config.layers = 3;
  config.heads = 4;
  config.q_lora_rank = 24;
  config.kv_lora_rank = 32;
  config.qk_nope_dim = 16;
  config.qk_rope_dim = 8;
  config.v_dim = 16;
  config.dense_intermediate = 96;
  config.expert_intermediate = 20;
  config.routed_experts = 8;
  config.shared_experts = 1;
  config.top_k = 3;
  config.first_moe_layer = 1;
  config.gate_method = GateMethod::kGroupLimitedGreedy;
  config.groups = 4;
  config.groups_kept = 2;
  config.routed_scaling = 2.5;
  config.yarn = YarnConfig{
      .factor = 40, .original_max_position = 64, .mscale = 0.707, .mscale_all_dim = 0.707};
  config.max_position = 2560;
  config.eos_token_ids = {1};
  return config;
}

std::string ConfigJson(const ModelConfig& c) {
  const bool is_v3 = c.gate_method == GateMethod::kNoAux;
  const bool grouped = c.gate_method == GateMethod::kGroupLimitedGreedy;
  const char* const heads[] = {"ForCausalLM", "Model", "ForSequenceClassification"};
  const std::string architecture =
      absl::StrCat(is_v3 ? "DeepseekV3" : "DeepseekV2", heads[static_cast<int>(c.architecture)]);
  Json json = {
      {"architectures", {architecture}},
      {"model_type", is_v3 ? "deepseek_v3" : "deepseek_v2"},
      {"vocab_size", c.vocabulary},
      {"hidden_size", c.hidden},
      {"num_hidden_layers", c.layers},
      {"num_attention_heads", c.heads},
      {"num_key_value_heads", c.heads},
      {"q_lora_rank", nullptr},
      {"kv_lora_rank", c.kv_lora_rank},
      {"qk_nope_head_dim", c.qk_nope_dim},
      {"qk_rope_head_dim", c.qk_rope_dim},
      {"v_head_dim", c.v_dim},
      {"intermediate_size", c.dense_intermediate},
      {"moe_intermediate_size", c.expert_intermediate},
      {"n_routed_experts", c.routed_experts},
      {"n_shared_experts", c.shared_experts},
      {"num_experts_per_tok", c.top_k},
      {"first_k_dense_replace", c.first_moe_layer},
      {"moe_layer_freq", 1},
      {"topk_method", is_v3     ? "noaux_tc"
                      : grouped ? "group_limited_greedy"
                                : "greedy"},
      {"n_group", c.groups},
      {"topk_group", c.groups_kept},
      {"norm_topk_prob", c.renormalise_gate},
      {"routed_scaling_factor", c.routed_scaling},
      {"scoring_func", is_v3 ? "sigmoid" : "softmax"},
      {"attention_bias", c.attention_bias},
      {"hidden_act", "silu"},
      {"rms_norm_eps", c.rms_eps},
      {"max_position_embeddings", c.max_position},
      {"rope_theta", c.rope_theta},
      {"rope_scaling", nullptr},
      {"tie_word_embeddings", c.tied_head},
      {"eos_token_id", c.eos_token_ids},
  };
  if (c.q_lora_rank != 0) json["q_lora_rank"] = c.q_lora_rank;
  if (c.yarn.has_value()) json["rope_scaling"] = YarnJson(*c.yarn);
  if (c.rope_divisor != 1) json["rope_scaling"] = {{"type", "linear"}, {"factor", c.rope_divisor}};
  if (c.pad_token_id.has_value()) json["pad_token_id"] = *c.pad_token_id;
  for (size_t i = 0; i < c.labels.size(); ++i) json["id2label"][absl::StrCat(i)] = c.labels[i];
  return json.dump(2) + "\n";
}

absl::Status WriteCheckpoint(const std::string& folder, const ModelConfig& config,
                             const CheckpointOptions& options) {
  CHECK(options.shards >= 1 && options.dtype != DType::kI32, "options of a checkpoint");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), folder);
  RETURN_IF_ERROR(WriteText(absl::StrCat(folder, "/config.json"), ConfigJson(config)));

  const auto parts = Split(StoredTensors(config, options), options.shards);
  if (options.shards == 1) {
    return WriteShard(absl::StrCat(folder, "/model.safetensors"), parts[0], config, options.seed);
  }
  Json weight_map = Json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string name = absl::StrFormat("model-%05d-of-%06d.safetensors", i + 1, parts.size());
    RETURN_IF_ERROR(WriteShard(absl::StrCat(folder, "/", name), parts[i], config, options.seed));
    for (const StoredTensor& tensor : parts[i]) {
      weight_map[tensor.spec.name] = name;
      total += tensor.bytes();
    }
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  return WriteText(absl::StrCat(folder, "/model.safetensors.index.json"), index.dump(2) + "\n");
}

}  // namespace expertmesh
