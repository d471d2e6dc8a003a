// Broken for what config.json and generation_config.json say.
#include "model/checkpoint/test_util.h"

namespace expertmesh::broken {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

Cases NoConfig() {
  return {
      {"no config", Remove(kConfig), "config.json", kNotFound},
      {"an empty config", Text(kConfig, ""), "config.json: not JSON at byte"},
      {"a config that is a folder", Folder(kConfig), "config.json: expected a regular file"},
      {"a config that is a pipe", Pipe(kConfig), "config.json: expected a regular file"},
      {"a config that is a dangling link", Link(kConfig, "gone"),
       "config.json: found a link that leads nowhere"},
      {"a config that is a link to itself", Link(kConfig, kConfig),
       "config.json: found a link that leads nowhere"},
      {"a config that is a list", Text(kConfig, "[]"), "config.json: found an array of 0"},
      {"a doubled key", Text(kConfig, R"({"model_type": "a", "model_type": "b"})"),
       "config.json: key model_type stands there twice"},
      {"a huge config", Text(kConfig, std::string((1 << 20) + 1, ' ')),
       "config.json: found 1048577 bytes, expected at most 1048576"},
      {"a config of two objects", Replace(kConfig, "{", "{}{"), "config.json: not JSON at byte"},
      {"a comment", Replace(kConfig, "{", "{ // sizes\n"), "config.json: not JSON at byte"},
      {"text that is no UTF-8", Replace(kConfig, "silu", "sil\xff"),
       "config.json: not JSON at byte"},
      {"NaN", Replace(kConfig, "\"rope_theta\": 10000.0", "\"rope_theta\": NaN"),
       "config.json: not JSON at byte"},
      {"a number beyond all doubles",
       Replace(kConfig, "\"rope_theta\": 10000.0", "\"rope_theta\": 1e999"),
       "config.json: not JSON at byte"},
      {"nested too deep",
       Replace(kConfig, "{", "{\"x\": " + std::string(99, '[') + std::string(99, ']') + ","),
       "config.json: nested deeper than 32 levels"},
  };
}

Cases UnknownKinds() {
  return {
      {"another architecture", Field(kConfig, "/architectures", Json::array({"LlamaForCausalLM"})),
       R"(config.json: field architectures: found "LlamaForCausalLM", expected DeepseekV2)"},
      {"two architectures",
       Field(kConfig, "/architectures", {"DeepseekV2ForCausalLM", "DeepseekV2Model"}),
       "config.json: field architectures: found an array of 2, expected a list of one"},
      {"another model_type", Field(kConfig, "/model_type", "deepseek_v4"),
       R"(config.json: field model_type: found "deepseek_v4", expected "deepseek_v2" or)"},
      {"V3 by one field alone", Field(kConfig, "/model_type", "deepseek_v3"),
       R"(config.json: field architectures: found "DeepseekV2ForCausalLM", expected DeepseekV3)"},
      {"another activation", Field(kConfig, "/hidden_act", "gelu"),
       R"(config.json: field hidden_act: found "gelu", expected "silu")"},
      {"an unknown topk_method", Field(kConfig, "/topk_method", "gready"),
       R"(config.json: field topk_method: found "gready", expected "greedy" or)"},
      {"V3's topk_method", Field(kConfig, "/topk_method", "noaux_tc"),
       R"(config.json: field topk_method: found "noaux_tc", expected "greedy" or)"},
      {"V3's scores", Field(kConfig, "/scoring_func", "sigmoid"),
       R"(config.json: field scoring_func: found "sigmoid", expected "softmax")"},
      {"renormalised weights", Field(kConfig, "/norm_topk_prob", true),
       "config.json: field norm_topk_prob: found true, expected false"},
      {"an unknown rope", Field(kConfig, "/rope_scaling/type", "longrope"),
       R"(config.json: field rope_scaling.type: found "longrope", expected "yarn")"},
      {"a rope that is a list", Field(kConfig, "/rope_scaling", {1, 2}),
       "config.json: field rope_scaling: found an array of 2, expected null or an object"},
      {"rope of a part of the head", Field(kConfig, "/partial_rotary_factor", 0.5),
       "config.json: field partial_rotary_factor: found 0.5, expected 1"},
      {"quantised in another way", Field(kConfig, "/quantization_config/quant_method", "awq"),
       R"(config.json: field quantization_config.quant_method: found "awq", expected "fp8")"},
      {"fp8 of wider range",
       Field(kConfig, "/quantization_config",
             {{"quant_method", "fp8"}, {"fmt", "e5m2"}, {"weight_block_size", {128, 128}}}),
       R"(field quantization_config.fmt: found "e5m2", expected "e4m3")"},
      {"blocks of another size",
       Field(kConfig, "/quantization_config",
             {{"quant_method", "fp8"}, {"weight_block_size", {64, 64}}}),
       "field quantization_config.weight_block_size: found an array of 2, expected [128, 128]"},
      {"experts in every other layer", Field(kConfig, "/moe_layer_freq", 2),
       "config.json: field moe_layer_freq: found 2, expected 1"},
      {"biases in the experts", Field(kConfig, "/mlp_bias", true),
       "config.json: field mlp_bias: found true, expected false"},
      {"pairs of rope that are halves", Field(kConfig, "/rope_interleave", false),
       "config.json: field rope_interleave: found false, expected true"},
  };
}

Cases BadSizes() {
  return {
      {"no vocab_size", NoField(kConfig, "vocab_size"),
       "config.json: field vocab_size: found nothing, expected an integer in [1, "},
      {"a width of 0", Field(kConfig, "/hidden_size", 0),
       "config.json: field hidden_size: found 0, expected an integer in [1, "},
      {"a negative width", Field(kConfig, "/hidden_size", -48),
       "config.json: field hidden_size: found -48, expected"},
      {"a width with a fraction", Field(kConfig, "/hidden_size", 48.5),
       "config.json: field hidden_size: found 48.5, expected an integer"},
      {"a width beyond 64 bits", Field(kConfig, "/hidden_size", UINT64_MAX),
       "config.json: field hidden_size: found 18446744073709551615, expected"},
      {"a width that is a text", Field(kConfig, "/hidden_size", "48"),
       R"(config.json: field hidden_size: found "48", expected an integer)"},
      {"odd rope", Field(kConfig, "/qk_rope_head_dim", 7),
       "config.json: field qk_rope_head_dim: found 7, expected an even integer"},
      {"more dense layers than layers", Field(kConfig, "/first_k_dense_replace", 4),
       "config.json: field first_k_dense_replace: found 4, expected an integer in [0, 3]"},
      {"more heads than weights", Field(kConfig, "/num_key_value_heads", 5),
       "config.json: field num_key_value_heads: found 5, expected 4"},
      {"an epsilon of 0", Field(kConfig, "/rms_norm_eps", 0),
       "config.json: field rms_norm_eps: found 0, expected a number in"},
      {"a negative theta", Field(kConfig, "/rope_theta", -10000),
       "config.json: field rope_theta: found -10000, expected a number in"},
      {"an absurd scaling", Field(kConfig, "/routed_scaling_factor", 1e300),
       "config.json: field routed_scaling_factor: found 1e+300, expected a number in"},
      {"rope that shrinks", Field(kConfig, "/rope_scaling/factor", 0.5),
       "config.json: field rope_scaling.factor: found 0.5, expected a number in [1, "},
      {"YaRN of no length",
       [](const CheckpointFolder& f) {
         f.EditJson(kConfig, [](Json& json) {
           json["rope_scaling"].erase("original_max_position_embeddings");
         });
       },
       "field rope_scaling.original_max_position_embeddings: found nothing, expected"},
      {"an endless context", Field(kConfig, "/max_position_embeddings", 1e12),
       "config.json: field max_position_embeddings: found 1000000000000.0, expected an integer"},
      {"a flag that is a word", Field(kConfig, "/attention_bias", "yes"),
       R"(config.json: field attention_bias: found "yes", expected true or false)"},
      {"a flag that is a number", Field(kConfig, "/tie_word_embeddings", 1),
       "config.json: field tie_word_embeddings: found 1, expected true or false"},
      {"absurd layers", Field(kConfig, "/num_hidden_layers", 4096),
       "model.safetensors: tensor model.layers.3.input_layernorm.weight: found nothing"},
      {"absurd experts", Field(kConfig, "/n_routed_experts", 65536),
       "tensor model.layers.1.mlp.gate.weight: found shape [8, 48], expected shape [65536, 48]"},
  };
}

Cases BadGates() {
  return {
      {"groups that do not divide", Field(kConfig, "/n_group", 3),
       "config.json: field n_group: found 3, expected a divisor of n_routed_experts = 8"},
      {"more groups kept than groups", Field(kConfig, "/topk_group", 5),
       "config.json: field topk_group: found 5, expected an integer in [1, 4]"},
      {"more experts chosen than experts", Field(kConfig, "/num_experts_per_tok", 9),
       "config.json: field num_experts_per_tok: found 9, expected an integer in [1, 4]"},
      {"more experts chosen than in the groups kept", Field(kConfig, "/num_experts_per_tok", 5),
       "config.json: field num_experts_per_tok: found 5, expected an integer in [1, 4]"},
      {"no expert chosen", Field(kConfig, "/num_experts_per_tok", 0),
       "config.json: field num_experts_per_tok: found 0, expected an integer in [1, 4]"},
      {"two numbers of experts", Field(kConfig, "/num_experts", 16),
       "config.json: field num_experts: found 16, expected 8"},
  };
}

Cases BadIds() {
  return {
      {"a pad outside", Field(kConfig, "/pad_token_id", 200),
       "config.json: field pad_token_id: found 200, expected an integer in [-1, 199]"},
      {"a beginning outside", Field(kConfig, "/bos_token_id", 100000),
       "config.json: field bos_token_id: found 100000, expected an integer in [-1, 199]"},
      {"an end outside", Field(kConfig, "/eos_token_id", 200),
       "config.json: field eos_token_id: found 200, expected an integer in [0, 199]"},
      {"one of several ends outside", Field(kConfig, "/eos_token_id", {1, 100001}),
       "config.json: field eos_token_id: found 100001, expected an integer in [0, 199]"},
      {"generation's end outside", Text(kGeneration, R"({"eos_token_id": [1, 2000000000]})"),
       "generation_config.json: field eos_token_id: found 2000000000, expected"},
      {"generation's end is negative", Text(kGeneration, R"({"eos_token_id": -3})"),
       "generation_config.json: field eos_token_id: found -3"},
      {"a bad generation config", Text(kGeneration, "{"),
       "generation_config.json: not JSON at byte"},
      {"a generation config that is a folder", Folder(kGeneration),
       "generation_config.json: expected a regular file"},
      {"a generation config that is a dangling link", Link(kGeneration, "gone"),
       "generation_config.json: found a link that leads nowhere"},
  };
}

}  // namespace

Cases ConfigCases() {
  return Joined({NoConfig(), UnknownKinds(), BadSizes(), BadGates(), BadIds()});
}

}  // namespace expertmesh::broken
