#include "model/tensor_names.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace names {
namespace {

std::string Place(int64_t layer, absl::string_view rest) {
  return absl::StrCat("model.layers.", layer, ".", rest);
}

std::string Layer(int64_t layer, absl::string_view rest) {
  return absl::StrCat(Place(layer, rest), ".weight");
}

absl::string_view Projection(Ffn which) {
  switch (which) {
    case Ffn::kGate:
      return "gate_proj";
    case Ffn::kUp:
      return "up_proj";
    case Ffn::kDown:
      return "down_proj";
  }
  return "";
}

}  // namespace

std::string Embedding() { return "model.embed_tokens.weight"; }
std::string FinalNorm() { return "model.norm.weight"; }
std::string Head() { return "lm_head.weight"; }
std::string InputNorm(int64_t layer) { return Layer(layer, "input_layernorm"); }
std::string PostAttentionNorm(int64_t layer) { return Layer(layer, "post_attention_layernorm"); }
std::string Query(int64_t layer) { return Layer(layer, "self_attn.q_proj"); }
std::string QueryA(int64_t layer) { return Layer(layer, "self_attn.q_a_proj"); }
std::string QueryANorm(int64_t layer) { return Layer(layer, "self_attn.q_a_layernorm"); }
std::string QueryB(int64_t layer) { return Layer(layer, "self_attn.q_b_proj"); }
std::string KvA(int64_t layer) { return Layer(layer, "self_attn.kv_a_proj_with_mqa"); }
std::string KvANorm(int64_t layer) { return Layer(layer, "self_attn.kv_a_layernorm"); }
std::string KvB(int64_t layer) { return Layer(layer, "self_attn.kv_b_proj"); }
std::string Output(int64_t layer) { return Layer(layer, "self_attn.o_proj"); }
std::string Gate(int64_t layer) { return Layer(layer, "mlp.gate"); }

std::string GateBias(int64_t layer) { return Place(layer, "mlp.gate.e_score_correction_bias"); }
std::string QueryABias(int64_t layer) { return Place(layer, "self_attn.q_a_proj.bias"); }
std::string KvABias(int64_t layer) { return Place(layer, "self_attn.kv_a_proj_with_mqa.bias"); }
std::string OutputBias(int64_t layer) { return Place(layer, "self_attn.o_proj.bias"); }
std::string Score() { return "score.weight"; }

std::string Dense(int64_t layer, Ffn which) {
  return Layer(layer, absl::StrCat("mlp.", Projection(which)));
}

std::string Shared(int64_t layer, Ffn which) {
  return Layer(layer, absl::StrCat("mlp.shared_experts.", Projection(which)));
}

std::string Expert(int64_t layer, int64_t expert, Ffn which) {
  return Layer(layer, absl::StrCat("mlp.experts.", expert, ".", Projection(which)));
}

std::string FusedGateUp(int64_t layer) { return Place(layer, "mlp.experts.gate_up_proj"); }
std::string FusedDown(int64_t layer) { return Place(layer, "mlp.experts.down_proj"); }

}  // namespace names

namespace {

using names::Ffn;

// gate and up are [width, hidden], down is [hidden, width].
template <typename NameOf>
void AddFfn(std::vector<TensorSpec>& out, int64_t hidden, int64_t width, NameOf name_of) {
  out.push_back({name_of(Ffn::kGate), {width, hidden}});
  out.push_back({name_of(Ffn::kUp), {width, hidden}});
  out.push_back({name_of(Ffn::kDown), {hidden, width}});
}

void AddAttention(std::vector<TensorSpec>& out, const ModelConfig& c, int64_t layer) {
  const int64_t query_rows = c.heads * c.query_dim();
  if (c.q_lora_rank == 0) {
    out.push_back({names::Query(layer), {query_rows, c.hidden}});
  } else {
    out.push_back({names::QueryA(layer), {c.q_lora_rank, c.hidden}});
    if (c.attention_bias) out.push_back({names::QueryABias(layer), {c.q_lora_rank}});
    out.push_back({names::QueryANorm(layer), {c.q_lora_rank}});
    out.push_back({names::QueryB(layer), {query_rows, c.q_lora_rank}});
  }
  out.push_back({names::KvA(layer), {c.latent_width(), c.hidden}});
  if (c.attention_bias) out.push_back({names::KvABias(layer), {c.latent_width()}});
  out.push_back({names::KvANorm(layer), {c.kv_lora_rank}});
  out.push_back({names::KvB(layer), {c.heads * (c.qk_nope_dim + c.v_dim), c.kv_lora_rank}});
  out.push_back({names::Output(layer), {c.hidden, c.heads * c.v_dim}});
  if (c.attention_bias) out.push_back({names::OutputBias(layer), {c.hidden}});
}

void AddMoe(std::vector<TensorSpec>& out, const ModelConfig& c, int64_t layer) {
  out.push_back({names::Gate(layer), {c.routed_experts, c.hidden}});
  if (c.gate_method == GateMethod::kNoAux) {
    out.push_back({names::GateBias(layer), {c.routed_experts}});
  }
  for (int64_t expert = 0; expert < c.routed_experts; ++expert) {
    const size_t first = out.size();
    AddFfn(out, c.hidden, c.expert_intermediate,
           [&](Ffn which) { return names::Expert(layer, expert, which); });
    const int64_t elements = c.expert_intermediate * c.hidden;
    const TensorSpec::Fused gate_up = {names::FusedGateUp(layer),
                                       {c.routed_experts, 2 * c.expert_intermediate, c.hidden},
                                       expert * 2 * elements};
    out[first].fused = gate_up;
    out[first + 1].fused = gate_up;
    out[first + 1].fused->first_element += elements;
    out[first + 2].fused = {names::FusedDown(layer),
                            {c.routed_experts, c.hidden, c.expert_intermediate},
                            expert * elements};
  }
  if (c.shared_experts == 0) return;
  AddFfn(out, c.hidden, c.shared_experts * c.expert_intermediate,
         [&](Ffn which) { return names::Shared(layer, which); });
}

}  // namespace

std::vector<TensorSpec> LayerTensors(const ModelConfig& config, int64_t layer) {
  std::vector<TensorSpec> out;
  out.push_back({names::InputNorm(layer), {config.hidden}});
  AddAttention(out, config, layer);
  out.push_back({names::PostAttentionNorm(layer), {config.hidden}});
  if (config.is_moe(layer)) {
    AddMoe(out, config, layer);
  } else {
    AddFfn(out, config.hidden, config.dense_intermediate,
           [&](Ffn which) { return names::Dense(layer, which); });
  }
  return out;
}

std::vector<TensorSpec> OuterTensors(const ModelConfig& config) {
  std::vector<TensorSpec> out = {{names::Embedding(), {config.vocabulary, config.hidden}},
                                 {names::FinalNorm(), {config.hidden}}};
  if (config.has_lm_head() && !config.tied_head) {
    out.push_back({names::Head(), {config.vocabulary, config.hidden}});
  }
  if (config.architecture == Architecture::kSequenceClassification) {
    out.push_back({names::Score(), {static_cast<int64_t>(config.labels.size()), config.hidden}});
  }
  return out;
}

std::vector<TensorSpec> RequiredTensors(const ModelConfig& config) {
  std::vector<TensorSpec> out = OuterTensors(config);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (TensorSpec& spec : LayerTensors(config, layer)) out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace expertmesh
