#include "simulation/stub/reference.h"

#include <algorithm>

namespace expertmesh::simulation {
namespace {

// One sequence's way through the layers, and the latents that it leaves behind.
class Walker {
 public:
  explicit Walker(const StubModel& model) : model_(model), latents_(model.layers) {}

  // The logprobs of what follows `token` at the next position.
  std::vector<float> Step(int32_t token) {
    StubRow x = model_.Embed(token);
    for (int32_t layer = 0; layer < model_.layers; ++layer) x = Layer(layer, x);
    return model_.Logprobs(x);
  }

 private:
  StubRow Layer(int32_t layer, StubRow x) {
    latents_[layer].push_back(model_.Latent(layer, x));
    uint64_t folded = 0;
    for (uint64_t latent : latents_[layer]) folded = model_.Fold(folded, latent);
    x = model_.Attend(layer, x, folded);
    const StubRow h = model_.Norm(layer, x);
    if (layer < model_.grid.first_layer) return model_.Dense(layer, x, h);
    std::vector<int32_t> experts(model_.top_k);
    std::vector<float> weights(model_.top_k);
    model_.Choose(layer, h, experts.data(), weights.data());
    std::vector<StubRow> rows;
    for (int32_t expert : experts) rows.push_back(model_.Expert(layer, expert, h));
    return model_.Combine(x, rows.data(), weights.data(), model_.Shared(layer, h));
  }

  const StubModel& model_;
  std::vector<std::vector<uint64_t>> latents_;  // [layer][position]
};

bool Stops(const StubModel& model, const GenerateRequest& request, int32_t id) {
  const auto has = [id](const std::vector<int32_t>& ids) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  return has(request.stop_token_ids) || (!request.ignore_eos && has(model.limits.eos_token_ids));
}

}  // namespace

Answer ReferenceAnswer(const StubModel& model, const GenerateRequest& request) {
  Answer answer;
  Walker walker(model);
  std::vector<float> logprobs;
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (i > 0 && request.prompt_logprobs) {
      answer.prompt_logprobs.push_back(logprobs[request.prompt[i]]);
    }
    logprobs = walker.Step(request.prompt[i]);
  }
  while (answer.finish == FinishReason::kNone) {
    const int32_t id = StubModel::Best(logprobs);
    answer.tokens.push_back({id, logprobs[id], StubModel::Top(logprobs, request.top_logprobs)});
    if (Stops(model, request, id)) {
      answer.finish = FinishReason::kStop;
      answer.stop_token_id = id;
    } else if (static_cast<int32_t>(answer.tokens.size()) == request.max_tokens) {
      answer.finish = FinishReason::kLength;
    } else {
      logprobs = walker.Step(id);
    }
  }
  return answer;
}

}  // namespace expertmesh::simulation
