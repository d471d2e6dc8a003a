// choice_text.h: one answer's tokens to the text that may be shown, as a state machine.
//
// Kept back is what may yet turn out otherwise: the bytes of an unfinished character, and what may
// be the beginning of a stop string. The attention worker looks for stop strings in the same bytes
// with the same StopMatcher, so both find the same one at the same token.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/utf8.h"
#include "generation/delta.h"
#include "generation/stop_matcher.h"

namespace expertmesh {

struct ChoiceTextOptions {
  std::vector<std::string> stop;
  bool include_stop = false;
  int32_t min_tokens = 0;  // stop strings count after so many
};

// Threads: one.
class ChoiceText {
 public:
  // What a token adds to the text. Outlives this.
  using BytesOf = std::function<absl::string_view(int32_t id)>;

  ChoiceText(ChoiceTextOptions options, BytesOf bytes_of);

  // Tokens that the caller of a resumed request has already: their text is not shown again, but for
  // what was kept back at their end.
  void Resume(const std::vector<int32_t>& ids);
  // The next piece of this choice: the text that its tokens let out. With its finish nothing is
  // kept back any more; a token that ended it as an id is shown, whatever it completes.
  std::string Add(const Delta& piece);

 private:
  void Push(int32_t id, bool may_match);
  std::string Release(bool all);

  ChoiceTextOptions options_;
  BytesOf bytes_of_;
  StopMatcher matcher_;
  int32_t tokens_ = 0;
  bool matched_ = false;
  uint64_t before_matcher_ = 0;  // bytes of the first min_tokens tokens
  uint64_t shown_ = 0;           // bytes given to utf8_
  std::string kept_;             // bytes from shown_ on
  uint64_t settled_ = 0;         // bytes that may be shown
  Utf8Stream utf8_;
};

}  // namespace expertmesh
