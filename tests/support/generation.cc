#include "tests/support/generation.h"

#include <bit>
#include <random>

namespace expertmesh {

void AddTo(Bits& bits, const Delta& delta) {
  for (float value : delta.prompt_logprobs) bits.logprobs.push_back(std::bit_cast<uint32_t>(value));
  for (const OutputToken& token : delta.tokens) {
    bits.ids.push_back(token.id);
    bits.logprobs.push_back(std::bit_cast<uint32_t>(token.logprob));
    for (const TokenLogprob& top : token.top) {
      bits.logprobs.push_back(static_cast<uint32_t>(top.id));
      bits.logprobs.push_back(std::bit_cast<uint32_t>(top.logprob));
    }
  }
}

std::vector<GenerateRequest> SeededRequests(int count, uint32_t seed, int32_t vocabulary) {
  std::mt19937 random(seed);
  std::vector<GenerateRequest> requests(count);
  for (int i = 0; i < count; ++i) {
    GenerateRequest& request = requests[i];
    const int length = 1 + random() % (i % 4 == 0 ? 150 : 40);
    for (int t = 0; t < length; ++t) request.prompt.push_back(random() % vocabulary);
    request.max_tokens = 4 + random() % 20;
    request.ignore_eos = true;
    request.logprobs = true;
    request.top_logprobs = i % 3;
    request.prompt_logprobs = i % 2 == 0;
  }
  return requests;
}

}  // namespace expertmesh
