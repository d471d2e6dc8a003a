#include "model/tokenizer/detokenizer.h"

namespace expertmesh {

std::string Detokenizer::Push(int32_t id) {
  if (options_.skip_special_tokens && vocabulary_.is_special(id)) return "";
  return utf8_.Push(vocabulary_.bytes(id));
}

std::string Decode(const Vocabulary& vocabulary, absl::Span<const int32_t> ids,
                   const DetokenizeOptions& options) {
  Detokenizer detokenizer(vocabulary, options);
  std::string text;
  for (int32_t id : ids) text += detokenizer.Push(id);
  return text + detokenizer.Flush();
}

}  // namespace expertmesh
