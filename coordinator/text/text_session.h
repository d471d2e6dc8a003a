// text_session.h: one user's request on its way: what comes back for each of its choices gets the
// form that the user sees, as a state machine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/text/choice_text.h"
#include "coordinator/text/prepare.h"

namespace expertmesh {

// Threads: one.
class TextSession {
 public:
  // `model` outlives this.
  TextSession(const UserRequest& request, const Prepared& prepared, const TextModel& model);

  // A piece of the `leg`th of the choices that are made: what the user gets for it.
  Delta OnDelta(size_t leg, Delta delta);

 private:
  std::vector<int32_t> choices_;  // of each leg
  std::vector<ChoiceText> texts_;
  std::string echo_;          // what each leg's text begins with
  std::vector<bool> echoed_;  // to which legs it was given
  Opening opening_;
  bool opened_ = false;
  bool has_text_;
};

}  // namespace expertmesh
