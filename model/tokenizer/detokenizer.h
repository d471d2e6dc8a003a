// detokenizer.h: token ids into text, as they come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/utf8.h"
#include "model/vocabulary/vocabulary.h"

namespace expertmesh {

struct DetokenizeOptions {
  bool skip_special_tokens = true;
};

// One sequence's text. What Push and Flush return, put together, is what decoding all ids at once
// gives; each part is valid UTF-8, so that no character is ever cut by a delta. Bytes that are no
// character become U+FFFD, one for as many as could have begun one, as in Hugging Face's decoder.
class Detokenizer {
 public:
  // `vocabulary` outlives this.
  explicit Detokenizer(const Vocabulary& vocabulary, const DetokenizeOptions& options = {})
      : vocabulary_(vocabulary), options_(options) {}

  // The text that is certain now; may be empty. Any id is legal: one without a token adds nothing.
  std::string Push(int32_t id);

  // What is held back for want of its last bytes: U+FFFD, or nothing. Begins anew.
  std::string Flush() { return utf8_.Flush(); }

 private:
  const Vocabulary& vocabulary_;
  const DetokenizeOptions options_;
  Utf8Stream utf8_;
};

// All at once.
std::string Decode(const Vocabulary& vocabulary, absl::Span<const int32_t> ids,
                   const DetokenizeOptions& options = {});

}  // namespace expertmesh
