// pooling.h: what is told of a prompt: one or all of its hidden states, their mean, or classes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "attention_worker/core/layer_compute.h"
#include "generation/request.h"

namespace expertmesh {

// How many positions of the prompt matter: all, but of a classifier those up to the last that has
// no padding token, or the first one if there is none.
size_t PooledPositions(const GenerateRequest& request, const RequestLimits& limits);

StepPlan::Output::Wanted WantedOf(const GenerateRequest& request);

// Takes what came of one position, in order of position. `positions` is how many there were, with
// the last one; 0 before. `sums` is scratch of one request, empty at first: kMean is summed in
// double, position by position, and divided and rounded once, so it does not depend on chunks.
// What is to be told by now is appended to `told`. Normalised are the states that are told, each by
// the square root of the sum of its squares, in double; one of zeros stays as it is.
void AddPooled(const GenerateRequest& request, absl::Span<const float> values, int32_t positions,
               std::vector<double>& sums, std::vector<float>& told);

}  // namespace expertmesh
