// checkpoint_writer.h: checkpoints of random weights, in the published format, made on the fly.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/dtype.h"
#include "model/config.h"

namespace expertmesh {

struct CheckpointOptions {
  DType dtype = DType::kBf16;  // kBf16, kF16 or kF32
  bool f32_gate = false;       // the router in f32 whatever the dtype, as transformers saves it
  int shards = 1;              // above 1: model-00001-of-00000N.safetensors and an index
  uint64_t seed = 1;
};

// A model of a few hundred kilobytes that has a bit of everything: q_lora, one dense layer, groups,
// shared experts, YaRN.
ModelConfig SmallModelConfig();

// The config.json that ParseModelConfig reads as `config`.
std::string ConfigJson(const ModelConfig& config);

// Writes config.json and the weights into `folder`, which is made if it is not there; files of the
// same names are replaced. Holds at most a megabyte of weights at a time. A value depends on seed,
// tensor name and place in the tensor, not on dtype (but for its rounding) or shards.
//
// The values are uniform, scaled so that activations neither fade nor grow, that logits have a
// deviation of about 3, and that the router prefers some experts clearly. Norms are near 1.
// Errors  what errno says, with the path.
absl::Status WriteCheckpoint(const std::string& folder, const ModelConfig& config,
                             const CheckpointOptions& options = {});

}  // namespace expertmesh
