// convert_generation.h: one sequence between front door and attention worker, to and from protobuf.
//
// FromProto takes a peer's word: each field is checked, and the first that is wrong is refused with
// INVALID_ARGUMENT that names it, its value and its bound. What depends on the model (vocabulary,
// context) is ValidateRequest's business. ToProto takes our own values as they are.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "expertmesh/v1/attention_service.pb.h"
#include "generation/delta.h"
#include "generation/request.h"

namespace expertmesh {

// The deadline is the call's and is not in the message.
absl::StatusOr<GenerateRequest> FromProto(const v1::AttentionGenerateRequest& proto);
v1::AttentionGenerateRequest ToProto(const GenerateRequest& request);

absl::StatusOr<Delta> FromProto(const v1::AttentionGenerateResponse& proto);
v1::AttentionGenerateResponse ToProto(const Delta& delta);

v1::ForgetRequest ToForgetProto(const KeptAnswer& kept);
absl::StatusOr<KeptAnswer> FromProto(const v1::ForgetRequest& proto);  // `worker` stays empty

// What the users' API has of a kept answer: bytes that mean nothing to them.
inline constexpr size_t kMaxResumeTokenBytes = 512;
std::string ToResumeToken(const KeptAnswer& kept);
absl::StatusOr<KeptAnswer> FromResumeToken(const std::string& token);

}  // namespace expertmesh
