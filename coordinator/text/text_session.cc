#include "coordinator/text/text_session.h"

#include <utility>

namespace expertmesh {

TextSession::TextSession(const UserRequest& request, const Prepared& prepared,
                         const TextModel& model)
    : choices_(prepared.choices),
      echo_(prepared.echo),
      echoed_(prepared.choices.size(), false),
      opening_{static_cast<int32_t>(prepared.request.prompt.size()),
               prepared.request.sampling.seed.value_or(0), model.has_text()},
      has_text_(model.has_text()) {
  const ChoiceTextOptions options{prepared.request.stop, request.include_stop,
                                  prepared.request.min_tokens};
  const auto bytes_of = [&model, special = request.special_tokens](int32_t id) {
    return model.BytesOf(id, special);
  };
  for (size_t leg = 0; leg < choices_.size(); ++leg) {
    texts_.emplace_back(options, bytes_of);
    texts_.back().Resume(prepared.request.resumed);
  }
}

Delta TextSession::OnDelta(size_t leg, Delta delta) {
  delta.choice = choices_[leg];
  if (!std::exchange(opened_, true)) delta.opening = opening_;
  if (delta.choice != choices_.front()) delta.prompt_logprobs.clear();  // told once
  if (!has_text_) return delta;
  if (!echoed_[leg]) delta.text = echo_;
  echoed_[leg] = true;
  delta.text += texts_[leg].Add(delta);
  return delta;
}

}  // namespace expertmesh
