// sequence.h: one sequence of an attention worker, from its arrival to its end.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "attention_worker/core/cache/cache_ledger.h"
#include "attention_worker/core/sampling_state.h"
#include "generation/request_port.h"
#include "generation/stop_rule.h"

namespace expertmesh {

struct Sequence {
  RequestId id = 0;
  GenerateRequest request;
  GenerationListener* listener = nullptr;
  StopRule rule;
  SamplingState sampling;
  Time arrived{};
  uint64_t order = 0;           // of arrival
  std::vector<int32_t> tokens;  // prompt, then what was resumed, then output
  CacheHolding cache;
  int32_t from_cache = -1;  // positions of the prompt that others had computed; -1: not known yet
  int32_t preemptions = 0;
  bool kept = false;     // since it was admitted it got a token, and what led to it was kept
  bool spoiled = false;  // its latents must not be used by others
  bool ended = false;    // OnEnd was called; it leaves the batch when no step names it
  int32_t scored = 0;    // prompt positions of which all that is wanted is known
  std::vector<float> prompt_logprobs;  // of them, those that were not told yet
  std::vector<double> sums;  // of hidden states of the first `scored` positions, for kMean
  Delta delta;               // of the step that is committed

  int32_t prompt() const { return static_cast<int32_t>(request.prompt.size()); }
  int32_t known() const { return static_cast<int32_t>(tokens.size()); }
  // The most positions that it can come to.
  int32_t most() const { return prompt() + request.max_tokens; }
  // Whether something is wanted of each of the prompt's positions.
  bool wants_all() const {
    return request.prompt_logprobs || request.pooling == Pooling::kMean ||
           request.pooling == Pooling::kAll;
  }
  // Whether others' latents serve it: what something is wanted of is computed.
  bool may_reuse() const { return !wants_all() || scored + 1 >= prompt(); }
};
using SequencePtr = std::unique_ptr<Sequence>;

}  // namespace expertmesh
