// tensor_names.h: the tensors that a checkpoint of this config must have: names and shapes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace expertmesh {

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
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
enum class Ffn { kGate, kUp, kDown };
std::string Dense(int64_t layer, Ffn which);
std::string Shared(int64_t layer, Ffn which);
std::string Expert(int64_t layer, int64_t expert, Ffn which);
}  // namespace names

// Every tensor of the model: those outside the layers, then layer by layer.
std::vector<TensorSpec> RequiredTensors(const ModelConfig& config);

// The two parts of RequiredTensors, for who does not want a big model's 100,000 names at once: what
// stands outside the layers (embedding, final norm, head unless tied), and one layer's.
std::vector<TensorSpec> OuterTensors(const ModelConfig& config);
std::vector<TensorSpec> LayerTensors(const ModelConfig& config, int64_t layer);

}  // namespace expertmesh
