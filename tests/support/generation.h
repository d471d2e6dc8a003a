// generation.h: seeded requests, and what a generation gave, for comparing bit by bit.
#pragma once

#include <cstdint>
#include <vector>

#include "generation/delta.h"
#include "generation/request.h"
#include "generation/user_request.h"

namespace expertmesh {

struct Bits {
  std::vector<int32_t> ids;
  std::vector<uint32_t> logprobs;  // of the prompt, then of the output and its top ones
  bool operator==(const Bits&) const = default;
};
void AddTo(Bits& bits, const Delta& delta);

// The same, as a user would ask for it.
UserRequest AsUser(const GenerateRequest& request);

// Requests of mixed lengths over ids below `vocabulary`; some ask for top and prompt logprobs.
std::vector<GenerateRequest> SeededRequests(int count, uint32_t seed, int32_t vocabulary);

// Makes two of three of them draw their ids, under filters, penalties, biases and masks of all
// kinds.
void AskForSampling(std::vector<GenerateRequest>& requests, uint32_t seed, int32_t vocabulary);

}  // namespace expertmesh
