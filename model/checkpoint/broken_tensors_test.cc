// Broken for the tensors that are there, or are not: of DeepSeek-V2, and of what else can be read.
#include "model/checkpoint/test_util.h"

namespace expertmesh::broken {
namespace {

const std::string kOutput = "model.layers.0.self_attn.o_proj.weight";  // [48, 64]
const std::string kUp = "model.layers.0.mlp.up_proj.weight";           // [96, 48]

Damage Shape(const std::string& name, std::vector<int64_t> shape) {
  return Tensor(name, [=](Json& tensor) { tensor["shape"] = shape; });
}

Damage Dtype(const std::string& name, const std::string& dtype) {
  return Tensor(name, [=](Json& tensor) { tensor["dtype"] = dtype; });
}

Damage SaysFp8() {
  return Field(kConfig, "/quantization_config",
               {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}});
}

Damage Fp8(const std::string& name, int64_t rows, int64_t columns) {
  return [=](const CheckpointFolder& f) { Quantise(f, name, rows, columns); };
}

// The experts of layer 1 in two tensors.
Damage Fused() {
  return [](const CheckpointFolder& f) { Fuse(f, SmallModelConfig(), 1); };
}

}  // namespace

Cases TensorCases() {
  const std::string norm = "model.norm.weight";
  return {
      {"no norm", Without(norm),
       "model.safetensors: tensor model.norm.weight: found nothing, expected shape [48]"},
      {"no head", Without("lm_head.weight"),
       "tensor lm_head.weight: found nothing, expected shape [200, 48]"},
      {"no expert", Without("model.layers.2.mlp.experts.7.down_proj.weight"),
       "tensor model.layers.2.mlp.experts.7.down_proj.weight: found nothing, expected shape [48, "
       "20]"},
      {"transposed", Shape(kOutput, {64, 48}),
       "tensor model.layers.0.self_attn.o_proj.weight: found shape [64, 48], expected shape [48, "
       "64]"},
      {"another rank", Shape(norm, {48, 1}),
       "tensor model.norm.weight: found shape [48, 1], expected shape [48]"},
      {"a scalar", Instead(norm, "F32", {}),
       "tensor model.norm.weight: found shape [], expected shape [48]"},
      {"an empty tensor", Instead(norm, "F32", {0}),
       "tensor model.norm.weight: found shape [0], expected shape [48]"},
      {"a vocabulary of another size", Field(kConfig, "/vocab_size", 256),
       "tensor model.embed_tokens.weight: found shape [200, 48], expected shape [256, 48]"},
      {"q_lora where there is none", Field(kConfig, "/q_lora_rank", nullptr),
       "tensor model.layers.0.self_attn.q_proj.weight: found nothing, expected shape [96, 48]"},
      {"integers", Dtype(norm, "I16"),
       "tensor model.norm.weight: found dtype I16, expected BF16, F16 or F32"},
      {"another fp8", Both(SaysFp8(), Both(Fp8(kOutput, 48, 64), Dtype(kOutput, "F8_E5M2"))),
       "o_proj.weight: found dtype F8_E5M2, expected BF16, F16, F32 or F8_E4M3"},
      {"an unknown dtype", Dtype(norm, "F13"),
       "model.safetensors: tensor model.norm.weight: found dtype F13"},
      {"a dtype of another width", Dtype(norm, "F32"),
       "tensor model.norm.weight: found data_offsets of 96 bytes, expected 192"},
      {"overlap",
       Tensor(norm,
              [](Json& t) {
                for (Json& offset : t["data_offsets"]) offset = offset.get<uint64_t>() - 2;
              }),
       "(overlaps the tensor before it)"},
      {"a bias", With("model.layers.0.self_attn.o_proj.bias", "BF16"),
       "tensor model.layers.0.self_attn.o_proj.bias: found shape [2], expected no such tensor"},
      {"a bias on the head", With("lm_head.bias", "BF16"), "tensor lm_head.bias: found shape [2]"},
      {"no bias where the config says so", Field(kConfig, "/attention_bias", true),
       "tensor model.layers.0.self_attn.q_a_proj.bias: found nothing, expected shape [24]"},
      {"a scale of what is not in fp8", With("model.layers.1.mlp.gate.weight_scale_inv", "F32"),
       "tensor model.layers.1.mlp.gate.weight_scale_inv: found shape [2], expected no such"},
      {"the bias of V3's gate", With("model.layers.1.mlp.gate.e_score_correction_bias", "F32"),
       "e_score_correction_bias: found shape [2], expected no such tensor"},
      {"one expert too many", With("model.layers.1.mlp.experts.8.up_proj.weight", "BF16"),
       "experts.8.up_proj.weight: found shape [2], expected no such tensor"},
      {"shared experts that the config denies", Field(kConfig, "/n_shared_experts", 0),
       "shared_experts.down_proj.weight: found shape [48, 20], expected no such tensor"},
      {"a layer whose number is none", With("model.layers.x.weight", "BF16"),
       "tensor model.layers.x.weight"},
  };
}

namespace {

Cases Fp8Cases() {
  const std::string scale = kOutput + "_scale_inv";
  return {
      {"fp8 of which the config says nothing", Fp8(kOutput, 48, 64),
       "o_proj.weight: found dtype F8_E4M3, expected BF16, F16 or F32"},
      {"fp8 without a scale", Both(SaysFp8(), Both(Fp8(kOutput, 48, 64), Without(scale))),
       "o_proj.weight_scale_inv: found nothing, expected shape [1, 1]"},
      {"scales of too many blocks",
       Both(SaysFp8(), Both(Fp8(kOutput, 48, 64), Instead(scale, "F32", {1, 2}))),
       "o_proj.weight_scale_inv: found shape [1, 2], expected shape [1, 1]"},
      {"one scale for all", Both(SaysFp8(), Both(Fp8(kOutput, 48, 64), Instead(scale, "F32", {}))),
       "o_proj.weight_scale_inv: found shape [], expected shape [1, 1]"},
      {"scales that are integers",
       Both(SaysFp8(), Both(Fp8(kOutput, 48, 64), Instead(scale, "I64", {1, 1}))),
       "o_proj.weight_scale_inv: found dtype I64, expected BF16, F16 or F32"},
      {"a scale under another name",
       Both(SaysFp8(), Both(Fp8(kOutput, 48, 64),
                            Both(Without(scale), With(kOutput + "_scale", "F32", {1, 1})))),
       "o_proj.weight_scale_inv: found nothing"},
      {"a norm in fp8", Both(SaysFp8(), Dtype("model.norm.weight", "F8_E4M3")),
       "tensor model.norm.weight: found data_offsets of 96 bytes, expected 48"},
  };
}

Cases FusedCases() {
  const std::string gate_up = names::FusedGateUp(1), down = names::FusedDown(1);
  return {
      {"fused experts in another order", Both(Fused(), Shape(down, {8, 20, 48})),
       "mlp.experts.down_proj: found shape [8, 20, 48], expected shape [8, 48, 20]"},
      {"fused experts, but one", Both(Fused(), Instead(gate_up, "BF16", {7, 40, 48})),
       "mlp.experts.gate_up_proj: found shape [7, 40, 48], expected shape [8, 40, 48]"},
      {"fused gate and up without down", Both(Fused(), Without(down)),
       "experts.0.down_proj.weight: found nothing, expected shape [48, 20]"},
      {"fused down without gate and up", Both(Fused(), Without(gate_up)),
       "experts.0.gate_proj.weight: found nothing, expected shape [20, 48]"},
      {"fused experts beside single ones", With(down, "BF16", {8, 48, 20}),
       "mlp.experts.down_proj: found shape [8, 48, 20], expected no such tensor"},
      {"a single expert beside fused ones",
       Both(Fused(), With("model.layers.1.mlp.experts.3.up_proj.weight", "BF16", {21, 48})),
       "experts.3.up_proj.weight: found shape [21, 48], expected shape [20, 48]"},
      {"fused experts in integers", Both(Fused(), Dtype(gate_up, "I16")),
       "mlp.experts.gate_up_proj: found dtype I16, expected BF16, F16 or F32"},
  };
}

Cases V3Cases() {
  ModelConfig config = SmallModelConfig();
  config.gate_method = GateMethod::kNoAux;
  config.renormalise_gate = true;
  const std::string bias = names::GateBias(2);
  return Of({}, config,
            {
                {"V3 without its bias", Without(bias),
                 "mlp.gate.e_score_correction_bias: found nothing, expected shape [8]"},
                {"V3 with a bias of another size", Instead(bias, "F32", {9}),
                 "mlp.gate.e_score_correction_bias: found shape [9], expected shape [8]"},
                {"V3 that does not say whether it renormalises", NoField(kConfig, "norm_topk_prob"),
                 "config.json: field norm_topk_prob: found nothing, expected true or false"},
                {"V3 with V2's scores", Field(kConfig, "/scoring_func", "softmax"),
                 R"(config.json: field scoring_func: found "softmax", expected "sigmoid")"},
                {"V3 with V2's method", Field(kConfig, "/topk_method", "group_limited_greedy"),
                 R"(field topk_method: found "group_limited_greedy", expected "noaux_tc")"},
                {"V3 with groups of one", Field(kConfig, "/n_group", 8),
                 "config.json: field n_group: found 8, expected groups of two experts or more"},
            });
}

Cases BareCases() {
  ModelConfig config = SmallModelConfig();
  config.architecture = Architecture::kModel;
  return Of(
      {}, config,
      {
          {"a bare model without its norm", Without("model.norm.weight"),
           "tensor model.norm.weight: found nothing, expected shape [48]"},
          {"a bare model without an expert", Without("model.layers.1.mlp.experts.0.up_proj.weight"),
           "experts.0.up_proj.weight: found nothing, expected shape [20, 48]"},
          {"a bare model with the same tensor under both names", With("norm.weight", "BF16", {48}),
           "tensor norm.weight: found it in model.safetensors too, expected it in one file"},
          {"a bare model with a bias", With("layers.0.self_attn.o_proj.bias", "BF16"),
           "tensor layers.0.self_attn.o_proj.bias: found shape [2], expected no such tensor"},
      });
}

Cases ClassifierCases() {
  ModelConfig config = SmallModelConfig();
  config.architecture = Architecture::kSequenceClassification;
  config.labels = {"bad", "fair", "good"};
  return Of({}, config,
            {
                {"a classifier without its head", Without("score.weight"),
                 "tensor score.weight: found nothing, expected shape [3, 48]"},
                {"a head of another number of classes", Instead("score.weight", "BF16", {2, 48}),
                 "tensor score.weight: found shape [2, 48], expected shape [3, 48]"},
                {"a head with a bias", With("score.bias", "BF16", {3}),
                 "tensor score.bias: found shape [3], expected no such tensor"},
                {"two numbers of classes", Field(kConfig, "/num_labels", 2),
                 "config.json: field num_labels: found 2, expected the size of id2label, 3"},
                {"a class without a name", Field(kConfig, "/id2label", {{"0", "a"}, {"2", "b"}}),
                 R"(config.json: field id2label: found an object of 2, expected a text under "1")"},
                {"names that are a list", Field(kConfig, "/id2label", {"a", "b", "c"}),
                 "config.json: field id2label: found an array of 3, expected an object"},
                {"a head of made-up classes", NoField(kConfig, "id2label"),
                 "tensor score.weight: found shape [3, 48], expected shape [2, 48]"},
            });
}

}  // namespace

Cases GenerationCases() {
  return Joined({Fp8Cases(), FusedCases(), V3Cases(), BareCases(), ClassifierCases()});
}

}  // namespace expertmesh::broken
