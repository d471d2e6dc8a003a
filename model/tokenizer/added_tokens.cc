#include "model/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

namespace expertmesh {

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  for (const AddedToken& token : tokens_) {
    begins_[static_cast<unsigned char>(token.content[0])] = true;
  }
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::Find(absl::string_view text,
                                                              size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!begins_[static_cast<unsigned char>(text[at])]) continue;
    if (const AddedToken* token = LongestAt(text.substr(at))) {
      return Match{{at, at + token->content.size()}, token};
    }
  }
  return std::nullopt;
}

// Narrows the tokens down to those that begin as the text does, byte by byte.
const AddedToken* AddedTokenFinder::LongestAt(absl::string_view text) const {
  const AddedToken* longest = nullptr;
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  for (size_t length = 0; length < text.size(); ++length) {
    const auto byte = static_cast<unsigned char>(text[length]);
    const auto byte_of = [&](const AddedToken& token) {
      return static_cast<unsigned char>(token.content[length]);
    };
    begin = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t) < byte; });
    end = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t) == byte; });
    if (begin == end) break;
    if (begin->content.size() == length + 1) {
      longest = &*begin;
      if (++begin == end) break;
    }
  }
  return longest;
}

}  // namespace expertmesh
