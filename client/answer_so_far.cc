#include "client/answer_so_far.h"

namespace expertmesh {

Delta AnswerSoFar::Take(const Delta& piece) {
  Delta out = piece;
  if (piece.opening.has_value()) {
    if (rest_.resume.has_value()) {
      out.opening.reset();
    } else {
      rest_.sampling.seed = piece.opening->seed;
      rest_.resume = request_.resume.value_or(ResumePoint());
      rest_.echo = false;
    }
  }
  if (!piece.prompt_logprobs.empty()) rest_.prompt_logprobs = false;
  if (rest_.resume.has_value()) {
    for (const OutputToken& token : piece.tokens) rest_.resume->token_ids.push_back(token.id);
  }
  finished_ = finished_ || piece.finish != FinishReason::kNone;
  return out;
}

bool AnswerSoFar::MayResume(const absl::Status& status) const {
  return absl::IsUnavailable(status) && rest_.resume.has_value() && !finished_ &&
         request_.sampling.n.value_or(1) == 1;
}

}  // namespace expertmesh
