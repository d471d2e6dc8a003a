// added_tokens.h: finds added tokens in text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/tokenizer/split_pattern.h"
#include "model/vocabulary/vocabulary.h"

namespace expertmesh {

// Immutable; any thread.
class AddedTokenFinder {
 public:
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  struct Match {
    TextSpan where;
    const AddedToken* token = nullptr;
  };
  // The leftmost match that begins at or after `from`, and of those the longest.
  // Time     O(n log t) up to the match, times a token's length where many almost match.
  std::optional<Match> Find(absl::string_view text, size_t from) const;

 private:
  const AddedToken* LongestAt(absl::string_view text) const;

  std::vector<AddedToken> tokens_;  // sorted by content, bytewise: of two that begin alike, the
                                    // shorter is first
  std::array<bool, 256> begins_ = {};
};

}  // namespace expertmesh
