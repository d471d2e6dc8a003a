// reference.h: what a request's answer must be: the stub model run plainly, one sequence, one token
// at a time, with no cluster, no batch, no cache blocks and no experts elsewhere.
#pragma once

#include <optional>
#include <vector>

#include "generation/delta.h"
#include "generation/request.h"
#include "simulation/stub/stub_model.h"

namespace expertmesh::simulation {

struct Answer {
  std::vector<float> prompt_logprobs;  // when the request asks for them
  std::vector<OutputToken> tokens;
  FinishReason finish = FinishReason::kNone;
  std::optional<int32_t> stop_token_id;
};

Answer ReferenceAnswer(const StubModel& model, const GenerateRequest& request);

}  // namespace expertmesh::simulation
