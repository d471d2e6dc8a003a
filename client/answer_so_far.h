// answer_so_far.h: what a client has of an answer, and how it asks for the rest.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "generation/user_request.h"

namespace expertmesh {

// Threads: one.
class AnswerSoFar {
 public:
  // What may be resumed is asked to be kept.
  explicit AnswerSoFar(const UserRequest& request)
      : rest_(request), one_choice_(request.sampling.n.value_or(1) == 1) {
    rest_.keep = request.keep || (one_choice_ && request.pooling == Pooling::kNone);
  }

  // Notes a piece and makes it what the caller is to get: what is said at every beginning (the
  // opening, the echo, prompt logprobs) is passed on once.
  void Take(Delta& piece);
  // Whether asking for the rest may help: the fleet says so, and one choice is all there is. What
  // is asked about a prompt alone may be asked again as a whole.
  bool MayResume(const absl::Status& status) const;
  // The request for what is not there yet; at first the request itself.
  const UserRequest& Rest() const { return rest_; }
  // The answer that would stay behind if nobody asked for the rest.
  std::optional<KeptAnswer> Kept() const;

 private:
  UserRequest rest_;
  const bool one_choice_;
  bool opened_ = false;  // the first answer's opening was passed on
  bool finished_ = false;
};

}  // namespace expertmesh
