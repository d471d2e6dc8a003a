#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/math.h"
#include "common/status.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

// Far above any model, and low enough that no product of sizes overflows.
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxRank = int64_t{1} << 16;
constexpr int64_t kMaxHeads = int64_t{1} << 14;
constexpr int64_t kMaxHeadDim = int64_t{1} << 14;
constexpr int64_t kMaxLayers = int64_t{1} << 12;
constexpr int64_t kMaxExperts = int64_t{1} << 16;
constexpr int64_t kMaxSharedExperts = int64_t{1} << 10;
constexpr int64_t kMaxLabels = int64_t{1} << 16;
constexpr int64_t kMaxPosition = 10'000'000;  // exact in f32, and no angle above kTrigHighest
static_assert(kMaxPosition <= kTrigHighest);

// Whether it is of the third generation.
bool ReadArchitecture(JsonFields& fields, ModelConfig& config) {
  const std::string type = fields.Text("model_type");
  const bool is_v3 = type == "deepseek_v3";
  if (!is_v3 && type != "deepseek_v2") {
    fields.Refuse("model_type", "\"deepseek_v2\" or \"deepseek_v3\"");
  }
  const std::string prefix = is_v3 ? "DeepseekV3" : "DeepseekV2";
  const std::pair<const char*, Architecture> known[] = {
      {"ForCausalLM", Architecture::kCausalLm},
      {"Model", Architecture::kModel},
      {"ForSequenceClassification", Architecture::kSequenceClassification}};
  const Json* architectures = fields.Find("architectures");
  for (const auto& [name, architecture] : known) {
    if (architectures == nullptr || *architectures != Json::array({prefix + name})) continue;
    config.architecture = architecture;
    return is_v3;
  }
  const bool is_one = architectures != nullptr && architectures->is_array() &&
                      architectures->size() == 1 && architectures->front().is_string();
  if (is_one) {
    const Json only = {{"architectures", architectures->front()}};
    JsonFields one(only);
    one.Refuse("architectures", absl::StrCat(prefix, "ForCausalLM, ", prefix, "Model or ", prefix,
                                             "ForSequenceClassification"));
    fields.Note(one.status());
    return is_v3;
  }
  fields.Refuse("architectures", absl::StrCat("a list of one: ", prefix, "ForCausalLM, ", prefix,
                                              "Model or ", prefix, "ForSequenceClassification"));
  return is_v3;
}

// Fields that have one value in every published checkpoint, and whose other values we do not
// compute. Absent and null mean that value: all readers agree on it.
void CheckSingleValued(JsonFields& fields, bool is_v3) {
  if (fields.TextOr("hidden_act", "silu") != "silu") fields.Refuse("hidden_act", "\"silu\"");
  const std::string scoring = is_v3 ? "sigmoid" : "softmax";
  if (fields.TextOr("scoring_func", scoring) != scoring) {
    fields.Refuse("scoring_func", absl::StrCat("\"", scoring, "\""));
  }
  fields.IntegerOr("moe_layer_freq", 1, 1, 1);
  fields.NumberOr("partial_rotary_factor", 1, 1, 1);
  if (fields.BoolOr("mlp_bias", false)) fields.Refuse("mlp_bias", "false");
  // Pairs of neighbours are rotated, as in every published checkpoint.
  if (!fields.BoolOr("rope_interleave", true)) fields.Refuse("rope_interleave", "true");
}

// Block-wise fp8 alone. How activations would be rounded does not matter: ours are f32.
void ReadQuantization(JsonFields& fields, ModelConfig& config) {
  const Json* value = fields.Find("quantization_config");
  if (value == nullptr) return;
  if (!value->is_object()) return fields.Refuse("quantization_config", "null or an object");
  JsonFields own(*value, "quantization_config.");
  if (own.Text("quant_method") != "fp8") own.Refuse("quant_method", "\"fp8\"");
  if (own.TextOr("fmt", "e4m3") != "e4m3") own.Refuse("fmt", "\"e4m3\"");
  const Json* block = own.Find("weight_block_size");
  if (block == nullptr || *block != Json::array({kFp8Block, kFp8Block})) {
    own.Refuse("weight_block_size", absl::StrCat("[", kFp8Block, ", ", kFp8Block, "]"));
  }
  fields.Note(own.status());
  config.fp8_weights = true;
}

// The names of the classes; without a table of names, as transformers makes them up.
void ReadLabels(JsonFields& fields, ModelConfig& config) {
  if (config.architecture != Architecture::kSequenceClassification) return;
  const Json* names = fields.Find("id2label");
  if (names != nullptr && (!names->is_object() || names->empty())) {
    return fields.Refuse("id2label", "an object with a name for each class, or null");
  }
  const int64_t named = names == nullptr ? 2 : static_cast<int64_t>(names->size());
  const int64_t count = fields.IntegerOr("num_labels", 1, kMaxLabels, named);
  if (named > kMaxLabels || (names != nullptr && count != named)) {
    return fields.Refuse("num_labels",
                         absl::StrCat("the size of id2label, ", named, ", at most ", kMaxLabels));
  }
  for (int64_t i = 0; i < count; ++i) {
    config.labels.push_back(absl::StrCat("LABEL_", i));
    if (names == nullptr) continue;
    const auto name = names->find(absl::StrCat(i));
    if (name == names->end() || !name->is_string()) {
      return fields.Refuse("id2label", absl::StrCat("a text under \"", i, "\""));
    }
    config.labels.back() = name->get<std::string>();
  }
}

void ReadSizes(JsonFields& fields, ModelConfig& config) {
  config.vocabulary = fields.Integer("vocab_size", 1, kMaxVocabulary);
  config.hidden = fields.Integer("hidden_size", 1, kMaxWidth);
  config.layers = fields.Integer("num_hidden_layers", 1, kMaxLayers);
  config.heads = fields.Integer("num_attention_heads", 1, kMaxHeads);
  // MLA has no groups of heads: the field can only repeat the number of heads.
  fields.IntegerOr("num_key_value_heads", config.heads, config.heads, config.heads);
  config.q_lora_rank = fields.IntegerOrNull("q_lora_rank", 1, kMaxRank, 0);
  config.kv_lora_rank = fields.Integer("kv_lora_rank", 1, kMaxRank);
  config.qk_nope_dim = fields.Integer("qk_nope_head_dim", 1, kMaxHeadDim);
  config.qk_rope_dim = fields.Integer("qk_rope_head_dim", 2, kMaxHeadDim);
  if (config.qk_rope_dim % 2 != 0) fields.Refuse("qk_rope_head_dim", "an even integer");
  config.v_dim = fields.Integer("v_head_dim", 1, kMaxHeadDim);
  config.dense_intermediate = fields.Integer("intermediate_size", 1, kMaxWidth);
  config.expert_intermediate = fields.Integer("moe_intermediate_size", 1, kMaxWidth);
  config.first_moe_layer = fields.Integer("first_k_dense_replace", 0, config.layers);
  config.max_position = fields.Integer("max_position_embeddings", 1, kMaxPosition);
  config.rms_eps = fields.Number("rms_norm_eps", 1e-12, 1);
  config.tied_head = config.has_lm_head() && fields.BoolOr("tie_word_embeddings", false);
  config.attention_bias = fields.BoolOr("attention_bias", false);
  if (fields.Find("pad_token_id") != nullptr) {
    // -1 stands for none in some files.
    const int64_t pad = fields.Integer("pad_token_id", -1, config.vocabulary - 1);
    if (pad >= 0) config.pad_token_id = static_cast<int32_t>(pad);
  }
  // The tokenizer has its own, which counts; one outside is the sign of another model's file.
  fields.IntegerOr("bos_token_id", -1, config.vocabulary - 1, -1);
}

void ReadGroups(JsonFields& fields, ModelConfig& config) {
  config.groups = fields.Integer("n_group", 1, config.routed_experts);
  if (config.routed_experts % config.groups != 0) {
    fields.Refuse("n_group",
                  absl::StrCat("a divisor of n_routed_experts = ", config.routed_experts));
  }
  config.groups_kept = fields.Integer("topk_group", 1, config.groups);
}

void ReadGate(JsonFields& fields, bool is_v3, ModelConfig& config) {
  config.routed_experts = fields.Integer("n_routed_experts", 1, kMaxExperts);
  // transformers' other names for the same field.
  for (const char* name : {"num_experts", "num_local_experts"}) {
    fields.IntegerOr(name, config.routed_experts, config.routed_experts, config.routed_experts);
  }
  config.shared_experts = fields.IntegerOrNull("n_shared_experts", 0, kMaxSharedExperts, 0);
  config.routed_scaling = fields.Number("routed_scaling_factor", 1e-6, 1e6);

  const bool renormalises = fields.BoolOr("norm_topk_prob", false);
  if (is_v3) {
    if (fields.TextOr("topk_method", "noaux_tc") != "noaux_tc") {
      fields.Refuse("topk_method", "\"noaux_tc\" (of deepseek_v3)");
    }
    if (!fields.Has("norm_topk_prob")) fields.Refuse("norm_topk_prob", "true or false");
    config.gate_method = GateMethod::kNoAux;
    config.renormalise_gate = renormalises;
    ReadGroups(fields, config);
    if (config.routed_experts / config.groups < 2) {
      fields.Refuse("n_group", "groups of two experts or more: their two best scores count");
    }
  } else {
    // The published code renormalises (and then does not scale), transformers ignores the field.
    if (renormalises) {
      fields.Refuse("norm_topk_prob", "false (readers of deepseek_v2 disagree on true)");
    }
    const std::string method = fields.Text("topk_method");
    if (method == "group_limited_greedy") {
      config.gate_method = GateMethod::kGroupLimitedGreedy;
      ReadGroups(fields, config);
    } else if (method != "greedy") {
      fields.Refuse("topk_method", "\"greedy\" or \"group_limited_greedy\" (of deepseek_v2)");
    }
  }
  // More than that, and the gate would have to choose experts that it has ruled out.
  const int64_t choosable = config.routed_experts / config.groups * config.groups_kept;
  config.top_k = fields.Integer("num_experts_per_tok", 1, choosable);
}

void ReadYarn(JsonFields& fields, JsonFields& rope, ModelConfig& config) {
  YarnConfig yarn;
  yarn.original_max_position = rope.Integer("original_max_position_embeddings", 1, kMaxPosition);
  // A copy outside the dictionary would win in transformers; then it must say the same.
  fields.IntegerOr("original_max_position_embeddings", yarn.original_max_position,
                   yarn.original_max_position, yarn.original_max_position);
  if (rope.Has("factor") && rope.Find("factor") == nullptr) {
    yarn.factor =
        static_cast<double>(config.max_position) / static_cast<double>(yarn.original_max_position);
    if (yarn.factor < 1) rope.Refuse("factor", "a number (the two lengths give less than 1)");
  } else {
    yarn.factor = rope.Number("factor", 1, 1e6);
  }
  yarn.beta_fast = rope.NumberOr("beta_fast", 1e-6, 1e6, yarn.beta_fast);
  yarn.beta_slow = rope.NumberOr("beta_slow", 1e-6, 1e6, yarn.beta_slow);
  yarn.mscale = rope.NumberOr("mscale", 0, 1e3, 0);
  yarn.mscale_all_dim = rope.NumberOr("mscale_all_dim", 0, 1e3, 0);
  yarn.attention_factor = rope.NumberOr("attention_factor", 1e-6, 1e6, 0);
  yarn.truncate = rope.BoolOr("truncate", true);
  config.yarn = yarn;
}

// Two spellings: `rope_theta` with `rope_scaling` (as published), and `rope_parameters` with
// everything inside (transformers 5). As there: `rope_scaling` wins unless it is null or empty, and
// a rope_theta in the dictionary wins over the one outside.
void ReadRope(JsonFields& fields, ModelConfig& config) {
  static const Json kPlain = Json::object();
  const Json* dictionary = &kPlain;
  std::string path;
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json* value = fields.Find(name);
    if (value == nullptr || value->empty()) continue;
    if (!value->is_object()) return fields.Refuse(name, "null or an object");
    dictionary = value;
    path = absl::StrCat(name, ".");
    break;
  }
  JsonFields rope(*dictionary, path);
  JsonFields& theta = rope.Find("rope_theta") != nullptr ? rope : fields;
  config.rope_theta = theta.Number("rope_theta", 1.001, 1e12);
  rope.NumberOr("partial_rotary_factor", 1, 1, 1);

  const std::string type_key = rope.Find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = rope.TextOr(type_key, "default");
  // A factor without a type: transformers would take it for plain, the published code for an error.
  const bool untyped = rope.Find(type_key) == nullptr && rope.Find("factor") != nullptr;
  if (type == "yarn") {
    ReadYarn(fields, rope, config);
  } else if (type == "linear" || type == "dynamic") {
    const double factor = rope.Number("factor", 1, 1e6);
    // Of dynamic it matters beyond max_position only.
    if (type == "linear") config.rope_divisor = factor;
    // All readers would scale the softmax by it, as under YaRN; no published file has it.
    rope.NumberOr("mscale_all_dim", 0, 0, 0);
  } else if (type != "default" || untyped) {
    rope.Refuse(type_key, "\"yarn\", \"linear\", \"dynamic\", \"default\" or nothing");
  }
  fields.Note(rope.status());
}

// One id or a list of them.
std::vector<int32_t> ReadEos(JsonFields& fields, int64_t vocabulary) {
  const Json* value = fields.Find("eos_token_id");
  if (value == nullptr) return {};
  const Json list = value->is_array() ? *value : Json::array({*value});
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    const Json field = {{"eos_token_id", id}};
    JsonFields one(field);
    ids.push_back(static_cast<int32_t>(one.Integer("eos_token_id", 0, vocabulary - 1)));
    fields.Note(one.status());
  }
  return ids;
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json) {
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(json));
  JsonFields fields(document);
  ModelConfig config;
  const bool is_v3 = ReadArchitecture(fields, config);
  CheckSingleValued(fields, is_v3);
  ReadSizes(fields, config);
  ReadQuantization(fields, config);
  ReadLabels(fields, config);
  ReadGate(fields, is_v3, config);
  ReadRope(fields, config);
  config.eos_token_ids = ReadEos(fields, config.vocabulary);
  RETURN_IF_ERROR(fields.status());
  return config;
}

absl::StatusOr<std::vector<int32_t>> ParseGenerationEos(absl::string_view json,
                                                        int64_t vocabulary) {
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(json));
  JsonFields fields(document);
  std::vector<int32_t> ids = ReadEos(fields, vocabulary);
  RETURN_IF_ERROR(fields.status());
  return ids;
}

float SoftmaxScale(const ModelConfig& config) {
  double scale = 1 / std::sqrt(static_cast<double>(config.query_dim()));
  if (config.yarn.has_value() && config.yarn->factor > 1 && config.yarn->mscale_all_dim != 0) {
    const double m = 0.1 * config.yarn->mscale_all_dim * LogD(config.yarn->factor) + 1;
    scale = scale * m * m;
  }
  return static_cast<float>(scale);
}

}  // namespace expertmesh
