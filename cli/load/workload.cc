#include "cli/load/workload.h"

namespace expertmesh {
namespace {

void Append(std::vector<int32_t>& ids, int32_t count, int32_t vocabulary, Draws& draws) {
  ids.reserve(ids.size() + count);
  for (int32_t i = 0; i < count; ++i) ids.push_back(draws.Between(0, vocabulary - 1));
}

}  // namespace

Conversation::Conversation(const WorkloadOptions& options, uint32_t index)
    : options_(options),
      lengths_({options.seed, DrawStream::kLengths, 0, index}),
      fresh_({options.seed, DrawStream::kFresh, options.point, index}) {
  Draws prefix({options.seed, DrawStream::kPrefix, options.point, index % options.prefix_groups});
  Append(prompt_, options.shared_prefix, options.vocabulary, prefix);
}

Turn Conversation::Next(const std::vector<int32_t>& answer) {
  prompt_.insert(prompt_.end(), answer.begin(), answer.end());
  Append(prompt_, options_.prompt_tokens.Draw(lengths_), options_.vocabulary, fresh_);
  return {prompt_, options_.output_tokens.Draw(lengths_)};
}

}  // namespace expertmesh
