// answer_so_far.h: what a client has of an answer, and how it asks for the rest.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "generation/user_request.h"

namespace expertmesh {

// Threads: one.
class AnswerSoFar {
 public:
  explicit AnswerSoFar(const UserRequest& request) : request_(request), rest_(request) {}

  // Notes a piece; returns it as the caller is to get it: what is said at every beginning (the
  // opening, the echo, prompt logprobs) is passed on once.
  Delta Take(const Delta& piece);
  // Whether asking for the rest may help: the fleet says so, and one choice is all there is.
  bool MayResume(const absl::Status& status) const;
  // The request for what is not there yet; at first the request itself.
  const UserRequest& Rest() const { return rest_; }

 private:
  UserRequest request_;
  UserRequest rest_;
  bool finished_ = false;
};

}  // namespace expertmesh
