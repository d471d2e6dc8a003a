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

UserRequest AsUser(const GenerateRequest& request) {
  UserRequest user;
  user.request_id = request.request_id;
  user.prompt = request.prompt;
  user.sampling.temperature = request.sampling.temperature;
  user.sampling.top_k = request.sampling.top_k;
  user.sampling.top_p = request.sampling.top_p;
  user.sampling.seed = request.sampling.seed;
  user.max_tokens = request.max_tokens;
  user.stop_token_ids = request.stop_token_ids;
  user.ignore_eos = request.ignore_eos;
  user.logprobs = request.logprobs;
  user.top_logprobs = request.top_logprobs;
  user.prompt_logprobs = request.prompt_logprobs;
  user.deadline = request.deadline;
  return user;
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

void AskForSampling(std::vector<GenerateRequest>& requests, uint32_t seed, int32_t vocabulary) {
  std::mt19937 random(seed);
  const auto one_in = [&](int count) { return random() % count == 0; };
  for (size_t i = 0; i < requests.size(); ++i) {
    if (i % 3 == 0) continue;
    SamplingParams& sampling = requests[i].sampling;
    sampling.temperature = 0.25f + static_cast<float>(random() % 8) / 4;
    sampling.seed = uint64_t{random()} << 32 | random();
    requests[i].choice = static_cast<int32_t>(random() % 3);
    if (one_in(2)) sampling.top_k = static_cast<int32_t>(1 + random() % 200);
    if (one_in(2)) sampling.top_p = 0.5f + static_cast<float>(random() % 8) / 16;
    if (one_in(2)) sampling.min_p = static_cast<float>(random() % 8) / 64;
    if (one_in(2)) sampling.repetition_penalty = 1.25f;
    if (one_in(2)) sampling.presence_penalty = 0.75f;
    if (one_in(2)) sampling.frequency_penalty = 0.5f;
    if (one_in(2)) sampling.logit_bias = {{3, 2.5f}, {vocabulary - 1, 1.5f}};
    if (one_in(4)) {
      sampling.allowed_token_ids.emplace();
      for (int32_t id = 1; id < vocabulary; id += 5) sampling.allowed_token_ids->push_back(id);
    }
  }
}

}  // namespace expertmesh
