// prepare.h: a user's request to what attention workers run: tokens, defaults, bounds: a pure
// function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/text/text_model.h"
#include "generation/user_request.h"

namespace expertmesh {

// Outputs of one request together: n times max_tokens.
inline constexpr int64_t kMaxTotalOutputTokens = int64_t{1} << 20;

struct Prepared {
  GenerateRequest request;       // of each choice, but for its number
  std::vector<int32_t> choices;  // the numbers
  std::string echo;              // the text that each choice begins with
};

// `drawn_seed` is taken where the request says none and there is something to draw.
// Errors  INVALID_ARGUMENT: field, value, bound. FAILED_PRECONDITION: text or chat that the model
//         has no tokenizer or template for. What only a worker knows (the context) it checks.
absl::StatusOr<Prepared> Prepare(const UserRequest& request, const TextModel& model,
                                 uint64_t drawn_seed);

}  // namespace expertmesh
