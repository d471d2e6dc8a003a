// tensor_names.h: the tensors that a checkpoint of this config must have: names and shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace expertmesh {

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;

  // Of a routed expert's matrix: the tensor that may hold it instead, with all others of the layer.
  struct Fused {
    std::string name;
    std::vector<int64_t> shape;
    int64_t first_element = 0;  // of this matrix
  };
  std::optional<Fused> fused;
};

// Names of one layer and of the whole model, as published.
namespace names {
std::string Embedding();
std::string FinalNorm();
std::string Head();  // absent on disk when tied
std::string InputNorm(int64_t layer);
std::string PostAttentionNorm(int64_t layer);
std::string Query(int64_t layer);  // q_proj, without q_lora
std::string QueryA(int64_t layer);
std::string QueryANorm(int64_t layer);
std::string QueryB(int64_t layer);
std::string KvA(int64_t layer);
std::string KvANorm(int64_t layer);
std::string KvB(int64_t layer);
std::string Output(int64_t layer);
std::string Gate(int64_t layer);
std::string GateBias(int64_t layer);  // e_score_correction_bias, which only chooses
std::string QueryABias(int64_t layer);
std::string KvABias(int64_t layer);
std::string OutputBias(int64_t layer);
std::string Score();  // of a classifier
enum class Ffn { kGate, kUp, kDown };
std::string Dense(int64_t layer, Ffn which);
std::string Shared(int64_t layer, Ffn which);
std::string Expert(int64_t layer, int64_t expert, Ffn which);
// All experts of a layer in one tensor, as transformers holds them in memory.
std::string FusedGateUp(int64_t layer);  // [experts, 2 * intermediate, hidden], gate rows first
std::string FusedDown(int64_t layer);    // [experts, hidden, intermediate]
}  // namespace names

// Every tensor of the model: those outside the layers, then layer by layer.
std::vector<TensorSpec> RequiredTensors(const ModelConfig& config);

// The two parts of RequiredTensors, for who does not want a big model's 100,000 names at once: what
// stands outside the layers (embedding, final norm, and what there is on top), and one layer's.
std::vector<TensorSpec> OuterTensors(const ModelConfig& config);
std::vector<TensorSpec> LayerTensors(const ModelConfig& config, int64_t layer);

}  // namespace expertmesh
