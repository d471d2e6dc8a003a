// convert_generation.h: requests and deltas, to and from protobuf.
//
// FromProto takes a peer's word: each field is checked, and the first that is wrong is refused with
// INVALID_ARGUMENT that names it, its value and its bound. What depends on the model (vocabulary,
// context) is ValidateRequest's business. ToProto takes our own values as they are.
#pragma once

#include "absl/status/statusor.h"
#include "expertmesh/v1/attention_service.pb.h"
#include "expertmesh/v1/generation.pb.h"
#include "generation/delta.h"
#include "generation/request.h"

namespace expertmesh {

// The users' API. The deadline is the call's and is not in the message.
absl::StatusOr<GenerateRequest> FromProto(const v1::GenerateRequest& proto);
v1::GenerateRequest ToPublicProto(const GenerateRequest& request);

absl::StatusOr<Delta> FromProto(const v1::GenerateResponse& proto);
// Without `logprobs` the tokens' logprobs are left out: they were not asked for.
v1::GenerateResponse ToPublicProto(const Delta& delta, bool logprobs);

// Between front door and attention worker.
absl::StatusOr<GenerateRequest> FromProto(const v1::AttentionGenerateRequest& proto);
v1::AttentionGenerateRequest ToAttentionProto(const GenerateRequest& request);

absl::StatusOr<Delta> FromProto(const v1::AttentionGenerateResponse& proto);
v1::AttentionGenerateResponse ToAttentionProto(const Delta& delta);

}  // namespace expertmesh
