// census.h: how many parameters a model has, by what they do, from its config alone.
#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/config.h"

namespace expertmesh {

// What a tensor is there for. Of a gate also its bias that only chooses, of attention its biases,
// of the norms also the two inside attention; kHead is what stands on top of the layers, if it has
// weights of its own.
enum class TensorRole {
  kEmbedding,
  kAttention,
  kDenseFfn,
  kGate,
  kSharedExperts,
  kRoutedExperts,
  kNorms,
  kHead
};
inline constexpr int kTensorRoles = 8;

// "embedding", "attention", "dense_ffn", ...: as reports spell it.
absl::string_view Name(TensorRole role);

// Of a name of RequiredTensors; of any other it means nothing.
TensorRole RoleOf(absl::string_view tensor);

struct Census {
  int64_t tensors = 0;  // of RequiredTensors: an expert's matrices count one by one
  // Parameters: elements of all of these, but for the bias that only chooses (V3): no gradient
  // trains it, and published numbers leave it out.
  int64_t total = 0;
  // What one token meets: all but the routed experts that the gate did not choose. Embedding and
  // head count fully, as in the published numbers; a tied head counts once.
  int64_t active = 0;
  std::array<int64_t, kTensorRoles> by_role = {};
  int64_t routed_experts = 0;  // in all layers together
  int64_t per_expert = 0;      // parameters of one routed expert

  int64_t of(TensorRole role) const { return by_role[static_cast<size_t>(role)]; }
};

// So that no product of a count and the bytes of an element overflows.
inline constexpr int64_t kParametersMax = int64_t{1} << 56;

// Errors  INVALID_ARGUMENT: the sizes of config.json make more than kParametersMax together.
absl::StatusOr<Census> CountParameters(const ModelConfig& config);

// Elements of the latent cache that a token takes, in all layers.
int64_t LatentElementsPerToken(const ModelConfig& config);

}  // namespace expertmesh
