// holdings.h: the bytes of a model's weights: as they are stored, and as workers of class cpu-f32
// hold them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "model/census.h"
#include "model/checkpoint/checkpoint.h"

namespace expertmesh {

struct RoleBytes {
  std::array<uint64_t, kTensorRoles> by_role = {};
  uint64_t expert = 0;  // the largest routed expert

  uint64_t total() const;
  uint64_t of(TensorRole role) const { return by_role[static_cast<size_t>(role)]; }
};

struct Holdings {
  RoleBytes stored;  // in the files, an fp8 matrix with its scales
  // Packed (kernels/pack.h): bf16 stays bf16, all else becomes f32, and so do the gate and whatever
  // is no matrix. What is not a routed expert is an attention worker's.
  RoleBytes packed;
  std::map<std::string, int64_t> tensors_by_dtype;  // of RequiredTensors, as stored: "BF16"
};

Holdings HoldingsOf(const Checkpoint& checkpoint);

// Of a model whose weights are not at hand, as they are published: in bf16, and where the config
// says fp8, the matrices of attention and experts in that, and the gate's bias in f32.
Holdings AssumedHoldings(const ModelConfig& config);

}  // namespace expertmesh
