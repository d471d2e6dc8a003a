// stop_matcher.h: finds stop strings in the bytes of an output, token by token.
//
// Both ends use it: the attention worker to end the sequence at the very token, the front door to
// keep back what may be the beginning of a stop string. Bytes are compared as bytes; a stop string
// may begin in one token and end in another. Of several that are there the one that begins first
// counts, then the longer one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace expertmesh {

// The memory is that of the stop strings and one token, whatever the output's length. Threads: one.
class StopMatcher {
 public:
  // Every string has at least one byte.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  struct Match {
    size_t stop = 0;     // index of the string
    uint64_t begin = 0;  // offset of its first byte in the whole output
  };
  // The next token's bytes. Not to be called after a match.
  std::optional<Match> Push(absl::string_view bytes);

  // Bytes of the output so far that no stop string to come can begin before: they may be shown.
  uint64_t settled() const { return settled_; }

 private:
  uint64_t FirstThatMayBegin() const;

  std::vector<std::string> stops_;
  std::string tail_;  // the output from settled_ on
  uint64_t settled_ = 0;
};

}  // namespace expertmesh
