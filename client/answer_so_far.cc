#include "client/answer_so_far.h"

namespace expertmesh {

void AnswerSoFar::Take(Delta& piece) {
  if (piece.opening.has_value()) {
    if (opened_) {
      piece.opening.reset();
    } else {
      opened_ = true;
      rest_.sampling.seed = piece.opening->seed;
      if (!rest_.resume.has_value()) rest_.resume.emplace();
      rest_.echo = false;
    }
  }
  if (piece.kept.has_value() && opened_) rest_.resume->kept = piece.kept;
  if (!piece.prompt_logprobs.empty()) rest_.prompt_logprobs = false;
  if (opened_) {
    for (const OutputToken& token : piece.tokens) rest_.resume->token_ids.push_back(token.id);
  }
  finished_ = finished_ || piece.finish != FinishReason::kNone;
}

std::optional<KeptAnswer> AnswerSoFar::Kept() const {
  return finished_ || !opened_ || !rest_.resume.has_value() ? std::nullopt : rest_.resume->kept;
}

bool AnswerSoFar::MayResume(const absl::Status& status) const {
  if (rest_.pooling != Pooling::kNone) return absl::IsUnavailable(status) && !finished_;
  return absl::IsUnavailable(status) && opened_ && !finished_ && one_choice_;
}

}  // namespace expertmesh
