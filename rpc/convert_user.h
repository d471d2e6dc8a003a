// convert_user.h: the users' API, to and from protobuf.
//
// FromProto takes a caller's word: what a message must have is there, or the first thing that is
// not is refused with INVALID_ARGUMENT that names it. Bounds of values, lists and texts are the
// front door's business (coordinator/text/prepare.h). ToProto takes our own values as they are.
#pragma once

#include "absl/status/statusor.h"
#include "expertmesh/v1/generation.pb.h"
#include "generation/delta.h"
#include "generation/user_request.h"

namespace expertmesh {

// The deadline is the call's and is not in the message.
absl::StatusOr<UserRequest> FromProto(const v1::GenerateRequest& proto);
absl::StatusOr<UserRequest> FromProto(const v1::EmbedRequest& proto);
absl::StatusOr<UserRequest> FromProto(const v1::ClassifyRequest& proto);
v1::GenerateRequest ToProto(const UserRequest& request);
v1::EmbedRequest ToEmbedProto(const UserRequest& request);        // of one that pools hidden states
v1::ClassifyRequest ToClassifyProto(const UserRequest& request);  // of one for classes

absl::StatusOr<Delta> FromProto(const v1::GenerateResponse& proto);

// Makes the messages of one call. Without `logprobs` the tokens' logprobs are left out: they were
// not asked for.
struct ResponseEncoder {
  std::string request_id;
  bool logprobs = false;
  v1::GenerateResponse operator()(const Delta& piece) const;
};

// Gathers the pieces of one call into a whole answer.
class ResultBuilder {
 public:
  explicit ResultBuilder(ResponseEncoder encoder) : encoder_(std::move(encoder)) {}
  void Add(const Delta& piece);
  // Call once, after the last piece.
  v1::GenerateResult Take();

 private:
  ResponseEncoder encoder_;
  v1::GenerateResult result_;
};

// Gathers the pieces of a call that asks about its prompt alone.
class PooledAnswer {
 public:
  explicit PooledAnswer(UserRequest request) : request_(std::move(request)) {}
  void Add(const Delta& piece);
  // After the last piece.
  v1::EmbedResponse TakeEmbedding() const;
  v1::ClassifyResponse TakeClasses() const;

 private:
  UserRequest request_;
  Delta answer_;
};

// A whole answer as one piece.
Delta DeltaOf(const v1::EmbedResponse& proto);
Delta DeltaOf(const v1::ClassifyResponse& proto);

}  // namespace expertmesh
