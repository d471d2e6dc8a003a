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

std::vector<int32_t> StoppingIds(const StubModel& model, const GenerateRequest& request) {
  std::vector<int32_t> ids = request.stop_token_ids;
  if (request.ignore_eos) return ids;
  for (int32_t id : model.limits.eos_token_ids) ids.push_back(id);
  return ids;
}

// Of the output token that follows `tokens`: counted anew each time.
StubDraw DrawAfter(const GenerateRequest& request, const std::vector<OutputToken>& tokens,
                   const std::vector<int32_t>& stopping) {
  const SamplingParams& params = request.sampling;
  StubDraw draw;
  draw.temperature = params.temperature;
  draw.seed = params.seed.value_or(0);
  draw.choice = request.choice;
  draw.output_index = static_cast<int32_t>(tokens.size());
  if (draw.output_index < request.min_tokens) draw.masked = stopping;
  if (params.presence_penalty == 0) return draw;
  for (int32_t id : request.prompt) draw.seen[id] = 0;
  for (const OutputToken& token : tokens) ++draw.seen[token.id];
  return draw;
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
  const std::vector<int32_t> stopping = StoppingIds(model, request);
  while (answer.finish == FinishReason::kNone) {
    const int32_t id = model.Choose(logprobs, DrawAfter(request, answer.tokens, stopping));
    answer.tokens.push_back({id, logprobs[id], StubModel::Top(logprobs, request.top_logprobs)});
    if (std::find(stopping.begin(), stopping.end(), id) != stopping.end()) {
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
