#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cli/inspect/report.h"
#include "cli/inspect/words.h"

namespace expertmesh {
namespace {

using Json = nlohmann::ordered_json;

template <typename Numbers>
Json ByRole(const Numbers& numbers) {
  Json json = Json::object();
  for (int i = 0; i < kTensorRoles; ++i) {
    json[std::string(Name(static_cast<TensorRole>(i)))] = numbers[static_cast<size_t>(i)];
  }
  return json;
}

Json ShapesOf(const ModelConfig& c) {
  return {{"vocabulary", c.vocabulary},
          {"hidden", c.hidden},
          {"layers", c.layers},
          {"dense_layers", c.layers - c.moe_layers()},
          {"moe_layers", c.moe_layers()},
          {"heads", c.heads},
          {"q_lora_rank", c.q_lora_rank == 0 ? Json() : Json(c.q_lora_rank)},
          {"kv_lora_rank", c.kv_lora_rank},
          {"qk_nope_head_dim", c.qk_nope_dim},
          {"qk_rope_head_dim", c.qk_rope_dim},
          {"v_head_dim", c.v_dim},
          {"dense_intermediate", c.dense_intermediate},
          {"expert_intermediate", c.expert_intermediate},
          {"max_position", c.max_position},
          {"attention_bias", c.attention_bias},
          {"tied_head", c.tied_head}};
}

Json GateOf(const ModelConfig& c) {
  return {{"method", MethodName(c.gate_method)},
          {"scores", ScoresName(c.gate_method)},
          {"routed_experts", c.routed_experts},
          {"shared_experts", c.shared_experts},
          {"top_k", c.top_k},
          {"groups", c.groups},
          {"groups_kept", c.groups_kept},
          {"scaling", c.routed_scaling},
          {"renormalise", c.renormalise_gate}};
}

Json RopeOf(const ModelConfig& c) {
  Json rope = {{"type", RopeName(c)}, {"theta", c.rope_theta}};
  if (c.rope_divisor != 1) rope["factor"] = c.rope_divisor;
  if (c.yarn.has_value()) {
    rope["factor"] = c.yarn->factor;
    rope["original_max_position"] = c.yarn->original_max_position;
    rope["beta_fast"] = c.yarn->beta_fast;
    rope["beta_slow"] = c.yarn->beta_slow;
    rope["mscale"] = c.yarn->mscale;
    rope["mscale_all_dim"] = c.yarn->mscale_all_dim;
  }
  rope["softmax_scale"] = static_cast<double>(SoftmaxScale(c));
  return rope;
}

Json BytesOf(const RoleBytes& bytes) {
  return {
      {"total", bytes.total()}, {"per_expert", bytes.expert}, {"by_role", ByRole(bytes.by_role)}};
}

Json ExpertWorkersOf(const Inspection& inspection) {
  Json list = Json::array();
  for (const ExpertShare& share : ExpertShares(inspection)) {
    list.push_back({{"workers", share.workers},
                    {"experts_each", share.experts},
                    {"weight_bytes_each", share.bytes}});
  }
  return list;
}

Json FilesOf(const Inspection& inspection) {
  Json list = Json::array();
  for (const Checkpoint::File& file : inspection.files) {
    list.push_back({{"name", file.name}, {"bytes", file.bytes}});
  }
  return list;
}

}  // namespace

std::string ToJson(const Inspection& i) {
  const Census& census = i.census;
  const int64_t elements = LatentElementsPerToken(i.config);
  Json stored = BytesOf(i.holdings.stored);
  stored["assumed"] = !i.has_weights;
  Json packed = BytesOf(i.holdings.packed);
  packed["class"] = "cpu-f32";
  const Json json = {
      {"folder", i.folder},
      {"architecture", ArchitectureName(i)},
      {"generation", i.is_v3() ? 3 : 2},
      {"weights", i.has_weights},
      {"tokenizer", i.has_tokenizer},
      {"chat_template", i.has_chat_template},
      {"shapes", ShapesOf(i.config)},
      {"gate", GateOf(i.config)},
      {"rope", RopeOf(i.config)},
      {"labels", i.config.labels},
      {"eos_token_ids", i.config.eos_token_ids},
      {"parameters",
       {{"total", census.total},
        {"active", census.active},
        {"per_expert", census.per_expert},
        {"by_role", ByRole(census.by_role)}}},
      {"tensors", {{"names", census.tensors}, {"by_dtype", i.holdings.tensors_by_dtype}}},
      {"files", FilesOf(i)},
      {"stored_bytes", stored},
      {"packed_bytes", packed},
      {"cache",
       {{"elements_per_token", elements},
        {"bytes_per_token", i.cache_bytes_per_token()},
        {"bytes_per_token_bf16", elements * 2}}},
      {"attention_worker",
       {{"weight_bytes", i.attention_weight_bytes()},
        {"cache_bytes_per_1000_tokens", i.cache_bytes_per_token() * 1000}}},
      {"expert_workers", ExpertWorkersOf(i)},
  };
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace expertmesh
