#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/checkpoint_writer.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json SmallJson() { return Json::parse(ConfigJson(SmallModelConfig())); }

ModelConfig Parsed(const Json& json) {
  absl::StatusOr<ModelConfig> config = ParseModelConfig(json.dump());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : ModelConfig{};
}

std::string ErrorOf(const Json& json) {
  absl::StatusOr<ModelConfig> config = ParseModelConfig(json.dump());
  EXPECT_FALSE(config.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(config.status()));
  return std::string(config.status().message());
}

std::string TextErrorOf(const std::string& text) {
  return std::string(ParseModelConfig(text).status().message());
}

struct BadField {
  const char* pointer;  // JSON pointer
  Json value;
  const char* message;
};

// DeepSeek-V2-Lite's config.json, but for the fields that no reader needs.
constexpr char kLite[] = R"({
  "architectures": ["DeepseekV2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
  "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV2Config"},
  "aux_loss_alpha": 0.001, "bos_token_id": 100000, "eos_token_id": 100001,
  "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 2048,
  "initializer_range": 0.02, "intermediate_size": 10944, "kv_lora_rank": 512,
  "max_position_embeddings": 163840, "model_type": "deepseek_v2", "moe_intermediate_size": 1408,
  "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 64, "n_shared_experts": 2,
  "norm_topk_prob": false, "num_attention_heads": 16, "num_experts_per_tok": 6,
  "num_hidden_layers": 27, "num_key_value_heads": 16, "pretraining_tp": 1, "q_lora_rank": null,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 0.707,
    "mscale_all_dim": 0.707, "original_max_position_embeddings": 4096, "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 1.0, "scoring_func": "softmax", "seq_aux": true,
  "tie_word_embeddings": false, "topk_group": 1, "topk_method": "greedy",
  "torch_dtype": "bfloat16", "transformers_version": "4.33.1", "use_cache": true,
  "v_head_dim": 128, "vocab_size": 102400})";

TEST(ModelConfig, ReadsThePublishedSpelling) {
  absl::StatusOr<ModelConfig> config = ParseModelConfig(kLite);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocabulary, 102400);
  EXPECT_EQ(config->hidden, 2048);
  EXPECT_EQ(config->layers, 27);
  EXPECT_EQ(config->heads, 16);
  EXPECT_EQ(config->q_lora_rank, 0);
  EXPECT_EQ(config->latent_width(), 576);
  EXPECT_EQ(config->query_dim(), 192);
  EXPECT_EQ(config->v_dim, 128);
  EXPECT_EQ(config->dense_intermediate, 10944);
  EXPECT_EQ(config->expert_intermediate, 1408);
  EXPECT_EQ(config->routed_experts, 64);
  EXPECT_EQ(config->shared_experts, 2);
  EXPECT_EQ(config->top_k, 6);
  EXPECT_EQ(config->moe_layers(), 26);
  EXPECT_EQ(config->gate_method, GateMethod::kGreedy);
  EXPECT_EQ(config->max_position, 163840);
  EXPECT_EQ(config->rope_theta, 10000);
  ASSERT_TRUE(config->yarn.has_value());
  EXPECT_EQ(config->yarn->factor, 40);
  EXPECT_EQ(config->yarn->mscale_all_dim, 0.707);
  EXPECT_FALSE(config->tied_head);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(100001));
}

TEST(ModelConfig, ReadsBackWhatTheTestsWrite) {
  const ModelConfig config = Parsed(SmallJson());
  EXPECT_EQ(ConfigJson(config), ConfigJson(SmallModelConfig()));
  EXPECT_EQ(config.gate_method, GateMethod::kGroupLimitedGreedy);
  EXPECT_EQ(config.groups, 4);
  EXPECT_EQ(config.groups_kept, 2);
}

TEST(ModelConfig, ReadsTheNewerSpellingOfRope) {
  Json json = SmallJson();
  json.erase("rope_theta");
  json.erase("rope_scaling");
  json["rope_parameters"] = {{"rope_type", "yarn"},
                             {"rope_theta", 500.0},
                             {"factor", 8},
                             {"original_max_position_embeddings", 32},
                             {"attention_factor", 1.25},
                             {"truncate", false}};
  const ModelConfig config = Parsed(json);
  EXPECT_EQ(config.rope_theta, 500);
  ASSERT_TRUE(config.yarn.has_value());
  EXPECT_EQ(config.yarn->factor, 8);
  EXPECT_EQ(config.yarn->beta_fast, 32);
  EXPECT_EQ(config.yarn->beta_slow, 1);
  EXPECT_EQ(config.yarn->mscale, 0);
  EXPECT_EQ(config.yarn->attention_factor, 1.25);
  EXPECT_FALSE(config.yarn->truncate);
}

TEST(ModelConfig, TakesRopeScalingBeforeRopeParametersUnlessItIsEmpty) {
  Json json = SmallJson();
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 77.0}};
  ModelConfig config = Parsed(json);
  EXPECT_TRUE(config.yarn.has_value());
  EXPECT_EQ(config.rope_theta, 10000);
  for (const Json& empty : {Json(nullptr), Json::object()}) {
    json["rope_scaling"] = empty;
    config = Parsed(json);
    EXPECT_FALSE(config.yarn.has_value());
    EXPECT_EQ(config.rope_theta, 77) << "the one in the dictionary wins";
  }
}

TEST(ModelConfig, TakesRopeTypeBeforeType) {
  Json json = SmallJson();
  json["rope_scaling"]["rope_type"] = "default";
  EXPECT_FALSE(Parsed(json).yarn.has_value());
  json["rope_scaling"]["rope_type"] = nullptr;
  EXPECT_TRUE(Parsed(json).yarn.has_value());
}

TEST(ModelConfig, ComputesANullFactorFromTheTwoLengths) {
  Json json = SmallJson();
  json["rope_scaling"]["factor"] = nullptr;
  EXPECT_EQ(Parsed(json).yarn->factor, 40);
}

TEST(ModelConfig, AcceptsEverySpellingOfNothing) {
  Json json = SmallJson();
  json["n_shared_experts"] = nullptr;
  json["quantization_config"] = nullptr;
  json["norm_topk_prob"] = nullptr;
  for (const char* name : {"num_key_value_heads", "moe_layer_freq", "scoring_func", "hidden_act",
                           "attention_bias", "tie_word_embeddings", "eos_token_id"}) {
    json.erase(name);
  }
  const ModelConfig config = Parsed(json);
  EXPECT_EQ(config.shared_experts, 0);
  EXPECT_TRUE(config.eos_token_ids.empty());
  json["n_shared_experts"] = 0;
  EXPECT_EQ(Parsed(json).shared_experts, 0);
}

TEST(ModelConfig, IgnoresGroupsUnderGreedy) {
  Json json = SmallJson();
  json["topk_method"] = "greedy";
  json["n_group"] = nullptr;
  json["topk_group"] = nullptr;
  json["num_experts_per_tok"] = 8;
  const ModelConfig config = Parsed(json);
  EXPECT_EQ(config.groups, 1);
  EXPECT_EQ(config.groups_kept, 1);
  EXPECT_EQ(config.top_k, 8);
}

TEST(ModelConfig, ReadsEosAsAnIdOrAList) {
  Json json = SmallJson();
  json["eos_token_id"] = 7;
  EXPECT_THAT(Parsed(json).eos_token_ids, ElementsAre(7));
  json["eos_token_id"] = {7, 9};
  EXPECT_THAT(Parsed(json).eos_token_ids, ElementsAre(7, 9));
  EXPECT_THAT(*ParseGenerationEos(R"({"eos_token_id": [3, 4], "top_p": 0.95})", 5),
              ElementsAre(3, 4));
  EXPECT_TRUE(ParseGenerationEos(R"({"eos_token_id": null})", 5)->empty());
  EXPECT_FALSE(ParseGenerationEos(R"({"eos_token_id": "</s>"})", 5).ok());
  EXPECT_FALSE(ParseGenerationEos(R"({"eos_token_id": [3, 5]})", 5).ok()) << "no such token";
}

TEST(ModelConfig, DemandsEveryFieldThatHasNoOneMeaningWhenAbsent) {
  for (const char* name : {"architectures",
                           "model_type",
                           "vocab_size",
                           "hidden_size",
                           "num_hidden_layers",
                           "num_attention_heads",
                           "q_lora_rank",
                           "kv_lora_rank",
                           "qk_nope_head_dim",
                           "qk_rope_head_dim",
                           "v_head_dim",
                           "intermediate_size",
                           "moe_intermediate_size",
                           "n_routed_experts",
                           "n_shared_experts",
                           "num_experts_per_tok",
                           "first_k_dense_replace",
                           "topk_method",
                           "n_group",
                           "topk_group",
                           "routed_scaling_factor",
                           "rms_norm_eps",
                           "max_position_embeddings",
                           "rope_theta"}) {
    Json json = SmallJson();
    json.erase(name);
    EXPECT_THAT(ErrorOf(json), HasSubstr(std::string("field ") + name + ": found nothing"));
  }
  for (const char* name : {"factor", "original_max_position_embeddings"}) {
    Json json = SmallJson();
    json["rope_scaling"].erase(name);
    EXPECT_THAT(ErrorOf(json),
                HasSubstr(std::string("field rope_scaling.") + name + ": found nothing"));
  }
}

// DeepSeek-V3's config.json, but for the fields that no reader needs.
constexpr char kV3[] = R"({
  "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false, "bos_token_id": 0,
  "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3, "hidden_act": "silu",
  "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512,
  "max_position_embeddings": 163840, "model_type": "deepseek_v3", "moe_intermediate_size": 2048,
  "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1,
  "norm_topk_prob": true, "num_attention_heads": 128, "num_experts_per_tok": 8,
  "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
  "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
    "weight_block_size": [128, 128]},
  "rms_norm_eps": 1e-06, "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40,
    "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096,
    "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
  "tie_word_embeddings": false, "topk_group": 4, "topk_method": "noaux_tc",
  "torch_dtype": "bfloat16", "use_cache": true, "v_head_dim": 128, "vocab_size": 129280})";

TEST(ModelConfig, ReadsTheThirdGeneration) {
  Json json = Json::parse(kV3);
  const ModelConfig config = Parsed(json);
  EXPECT_EQ(config.gate_method, GateMethod::kNoAux);
  EXPECT_TRUE(config.renormalise_gate);
  EXPECT_TRUE(config.fp8_weights);
  EXPECT_EQ(config.groups, 8);
  EXPECT_EQ(config.groups_kept, 4);
  EXPECT_EQ(config.layers, 61) << "the draft layer is not one of them";
  // As transformers writes it, without the fields that it does not read.
  for (const char* name : {"topk_method", "scoring_func", "moe_layer_freq"}) json.erase(name);
  json["num_local_experts"] = 256;
  json["rope_interleave"] = true;
  EXPECT_EQ(Parsed(json).gate_method, GateMethod::kNoAux);

  const std::vector<BadField> cases = {
      {"/topk_method", "greedy", R"(topk_method: found "greedy", expected "noaux_tc")"},
      {"/scoring_func", "softmax", R"(scoring_func: found "softmax", expected "sigmoid")"},
      {"/n_group", 7, "n_group: found 7, expected a divisor"},
      {"/n_group", 256, "n_group: found 256, expected groups of two"},
      {"/topk_group", 9, "topk_group: found 9, expected an integer in [1, 8]"},
      {"/num_experts_per_tok", 129,
       "num_experts_per_tok: found 129, expected an integer in [1, 128]"},
      {"/norm_topk_prob", "yes", "norm_topk_prob: found"},
  };
  for (const BadField& bad : cases) {
    Json broken = Json::parse(kV3);
    broken[Json::json_pointer(bad.pointer)] = bad.value;
    EXPECT_THAT(ErrorOf(broken), HasSubstr(bad.message)) << bad.pointer;
  }
  json.erase("norm_topk_prob");
  EXPECT_THAT(ErrorOf(json), HasSubstr("norm_topk_prob: found nothing, expected true or false"));
}

TEST(ModelConfig, ReadsTheRopesThatStretchWithoutARamp) {
  Json json = SmallJson();
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  ModelConfig config = Parsed(json);
  EXPECT_EQ(config.rope_divisor, 4);
  EXPECT_FALSE(config.yarn.has_value());
  json["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 4.0}};
  config = Parsed(json);
  EXPECT_EQ(config.rope_divisor, 1);
  EXPECT_FALSE(config.yarn.has_value());
  json["rope_scaling"]["mscale_all_dim"] = 0.707;  // it would scale the softmax
  EXPECT_THAT(ErrorOf(json), HasSubstr("rope_scaling.mscale_all_dim: found 0.707"));
  json["rope_scaling"] = {{"rope_type", "linear"}};
  EXPECT_THAT(ErrorOf(json), HasSubstr("rope_scaling.factor: found nothing"));
}

TEST(ModelConfig, ReadsWhatStandsOnTopOfTheLayers) {
  Json json = SmallJson();
  json["architectures"] = {"DeepseekV2Model"};
  json["tie_word_embeddings"] = true;  // of no head
  ModelConfig config = Parsed(json);
  EXPECT_EQ(config.architecture, Architecture::kModel);
  EXPECT_FALSE(config.tied_head);
  EXPECT_THAT(config.labels, testing::IsEmpty());

  json["architectures"] = {"DeepseekV2ForSequenceClassification"};
  EXPECT_THAT(Parsed(json).labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_EQ(Parsed(json).pad_token_id, std::nullopt);
  json["num_labels"] = 3;
  json["pad_token_id"] = 5;
  EXPECT_THAT(Parsed(json).labels, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
  EXPECT_EQ(Parsed(json).pad_token_id, 5);
  json["id2label"] = {{"0", "good"}, {"1", "bad"}};
  EXPECT_THAT(ErrorOf(json), HasSubstr("num_labels: found 3, expected the size of id2label, 2"));
  json.erase("num_labels");
  EXPECT_THAT(Parsed(json).labels, ElementsAre("good", "bad"));
  json["id2label"] = {{"0", "good"}, {"2", "bad"}};
  EXPECT_THAT(ErrorOf(json),
              HasSubstr(R"(id2label: found an object of 2, expected a text under "1")"));
  json["id2label"] = Json::object();
  EXPECT_THAT(ErrorOf(json), HasSubstr("id2label: found"));
}

TEST(ModelConfig, RefusesWhatItDoesNotCompute) {
  const std::vector<BadField> cases = {
      {"/model_type", "deepseek_v4",
       R"(model_type: found "deepseek_v4", expected "deepseek_v2" or "deepseek_v3")"},
      {"/model_type", "deepseek_v3",
       R"(architectures: found "DeepseekV2ForCausalLM", expected DeepseekV3ForCausalLM)"},
      {"/architectures",
       {"DeepseekV2ForTokenClassification"},
       R"(found "DeepseekV2ForTokenClassification", expected DeepseekV2ForCausalLM)"},
      {"/architectures",
       {"DeepseekV2Model", "DeepseekV2ForCausalLM"},
       "architectures: found an array of 2, expected a list of one"},
      {"/architectures", "DeepseekV2ForCausalLM", "architectures: found"},
      {"/topk_method", "noaux_tc", R"(topk_method: found "noaux_tc", expected "greedy" or)"},
      {"/topk_method", 3, "topk_method: found 3, expected a string"},
      {"/scoring_func", "sigmoid", R"(scoring_func: found "sigmoid", expected "softmax")"},
      {"/norm_topk_prob", true, "norm_topk_prob: found true, expected false"},
      {"/moe_layer_freq", 2, "moe_layer_freq: found 2, expected 1"},
      {"/hidden_act", "gelu", R"(hidden_act: found "gelu", expected "silu")"},
      {"/attention_bias", 1, "attention_bias: found 1, expected"},
      {"/rope_interleave", false, "rope_interleave: found false, expected true"},
      {"/num_local_experts", 9, "num_local_experts: found 9, expected 8"},
      {"/pad_token_id", -2, "pad_token_id: found -2, expected an integer in [-1, "},
      {"/mlp_bias", true, "mlp_bias: found true"},
      {"/quantization_config", "fp8", R"(quantization_config: found "fp8", expected null or)"},
      {"/quantization_config",
       {{"quant_method", "awq"}},
       R"(quantization_config.quant_method: found "awq", expected "fp8")"},
      {"/quantization_config",
       {{"quant_method", "fp8"}, {"fmt", "e5m2"}},
       R"(quantization_config.fmt: found "e5m2", expected "e4m3")"},
      {"/quantization_config",
       {{"quant_method", "fp8"}, {"weight_block_size", {64, 128}}},
       "quantization_config.weight_block_size: found an array of 2, expected [128, 128]"},
      {"/quantization_config",
       {{"quant_method", "fp8"}},
       "quantization_config.weight_block_size: found nothing, expected [128, 128]"},
      {"/num_key_value_heads", 2, "num_key_value_heads: found 2, expected 4"},
      {"/num_experts", 9, "num_experts: found 9, expected 8"},
      {"/partial_rotary_factor", 0.5, "partial_rotary_factor: found 0.5, expected 1"},
      {"/rope_scaling/type", "longrope", R"(rope_scaling.type: found "longrope", expected "yarn")"},
      {"/rope_scaling/rope_type", "llama3", R"(rope_scaling.rope_type: found "llama3")"},
      {"/rope_scaling/type", nullptr, "rope_scaling.type: found null, expected"},
      {"/rope_scaling", "yarn", R"(rope_scaling: found "yarn", expected null or an object)"},
      {"/original_max_position_embeddings", 65,
       "original_max_position_embeddings: found 65, expected 64"},
  };
  for (const BadField& bad : cases) {
    Json json = SmallJson();
    json[Json::json_pointer(bad.pointer)] = bad.value;
    EXPECT_THAT(ErrorOf(json), HasSubstr(bad.message)) << bad.pointer;
  }
}

TEST(ModelConfig, RefusesNumbersOutOfRange) {
  const std::vector<BadField> cases = {
      {"/hidden_size", 0, "hidden_size: found 0, expected an integer in [1, 1048576]"},
      {"/hidden_size", -48, "hidden_size: found -48"},
      {"/hidden_size", 48.0, "hidden_size: found 48.0, expected an integer"},
      {"/hidden_size", "48", R"(hidden_size: found "48", expected an integer)"},
      {"/hidden_size", true, "hidden_size: found true"},
      {"/hidden_size", nullptr, "hidden_size: found null"},
      {"/hidden_size", uint64_t{18446744073709551615u}, "found 18446744073709551615"},
      {"/vocab_size", 1 << 25, "vocab_size: found 33554432"},
      {"/num_hidden_layers", 5000, "num_hidden_layers: found 5000"},
      {"/q_lora_rank", 0, "q_lora_rank: found 0"},
      {"/qk_rope_head_dim", 7, "qk_rope_head_dim: found 7, expected an even integer"},
      {"/first_k_dense_replace", 4,
       "first_k_dense_replace: found 4, expected an integer in [0, 3]"},
      {"/n_group", 3, "n_group: found 3, expected a divisor of n_routed_experts = 8"},
      {"/topk_group", 5, "topk_group: found 5, expected an integer in [1, 4]"},
      {"/num_experts_per_tok", 5, "num_experts_per_tok: found 5, expected an integer in [1, 4]"},
      {"/n_shared_experts", -1, "n_shared_experts: found -1"},
      {"/routed_scaling_factor", 1e300, "routed_scaling_factor: found 1e+300, expected a number"},
      {"/routed_scaling_factor", 0, "routed_scaling_factor: found 0"},
      {"/rms_norm_eps", -1e-6, "rms_norm_eps: found -1e-06"},
      {"/max_position_embeddings", 20'000'000, "max_position_embeddings: found 20000000"},
      {"/rope_theta", 1, "rope_theta: found 1, expected a number"},
      {"/rope_scaling/rope_theta", 0.5, "rope_scaling.rope_theta: found 0.5"},
      {"/rope_scaling/factor", 0.5, "rope_scaling.factor: found 0.5"},
      {"/rope_scaling/factor", "40", R"(rope_scaling.factor: found "40", expected a number)"},
      {"/rope_scaling/beta_fast", 0, "rope_scaling.beta_fast: found 0"},
      {"/rope_scaling/mscale", -1, "rope_scaling.mscale: found -1"},
      {"/rope_scaling/attention_factor", 0, "rope_scaling.attention_factor: found 0"},
      {"/rope_scaling/truncate", 1, "rope_scaling.truncate: found 1, expected true or false"},
      {"/eos_token_id", -1, "eos_token_id: found -1"},
      {"/eos_token_id", {1, 4294967296}, "eos_token_id: found 4294967296"},
      {"/tie_word_embeddings", "no", R"(tie_word_embeddings: found "no", expected true or false)"},
  };
  for (const BadField& bad : cases) {
    Json json = SmallJson();
    json[Json::json_pointer(bad.pointer)] = bad.value;
    EXPECT_THAT(ErrorOf(json), HasSubstr(bad.message)) << bad.pointer;
  }
}

TEST(ModelConfig, RefusesTextThatReadersCouldTakeDifferently) {
  const std::string good = SmallJson().dump();
  EXPECT_THAT(TextErrorOf(""), HasSubstr("not JSON at byte"));
  EXPECT_THAT(TextErrorOf("[1]"), HasSubstr("found an array of 1, expected a JSON object"));
  EXPECT_THAT(TextErrorOf(good + "{}"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(TextErrorOf("{\"hidden_size\": 1, " + good.substr(1)),
              HasSubstr("key hidden_size stands there twice"));
  EXPECT_THAT(TextErrorOf(R"({"rope_scaling": {"type": "yarn", "type": "linear"}})"),
              HasSubstr("key type stands there twice"));
  EXPECT_THAT(TextErrorOf(R"({"rms_norm_eps": NaN})"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(TextErrorOf(R"({"rms_norm_eps": 1e999})"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(TextErrorOf("{\"a\": \"\xff\"}"), HasSubstr("not JSON at byte"));
  EXPECT_THAT(TextErrorOf("{\"a\":" + std::string(100000, '[')), HasSubstr("deeper than 32"));
}

TEST(SoftmaxScale, HasTheSquareOfMUnderYarn) {
  ModelConfig config = *ParseModelConfig(kLite);
  EXPECT_NEAR(SoftmaxScale(config), 0.1147213868, 4e-9);
  config.yarn->mscale_all_dim = 1;
  EXPECT_NEAR(SoftmaxScale(config), 0.1352337789, 1e-8);
  config.yarn->mscale_all_dim = 0;
  EXPECT_NEAR(SoftmaxScale(config), 0.0721687836, 3e-9);
  config.yarn->mscale_all_dim = 1;
  for (double factor : {1.0, 0.5}) {
    config.yarn->factor = factor;
    EXPECT_NEAR(SoftmaxScale(config), 0.0721687836, 3e-9);
  }
  EXPECT_NEAR(SoftmaxScale(config), 0.0721687836, 3e-9);
  config.yarn.reset();
  EXPECT_NEAR(SoftmaxScale(config), 0.0721687836, 3e-9);
}

}  // namespace
}  // namespace expertmesh
