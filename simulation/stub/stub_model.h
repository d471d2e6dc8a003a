// stub_model.h: a model that is only arithmetic on small integers: exact, cheap, and with the shape
// of the real one. What a token is depends on every token before it, on every expert row and on
// every gate weight: whatever the cluster gets wrong shows as another token or another logprob.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "attention_worker/core/layer_compute.h"
#include "generation/delta.h"
#include "generation/request.h"
#include "simulation/random.h"

namespace expertmesh::simulation {

inline constexpr int32_t kStubHidden = 8;

// Elements are whole numbers in [0, 65536): a float holds them, and their sums of a few, exactly.
using StubRow = std::array<float, kStubHidden>;

// What decides an id besides the logprobs.
struct StubDraw {
  float temperature = 0;  // 0: the most likely one; else any of the best few, whatever it is
  uint64_t seed = 0;
  int32_t choice = 0;
  int32_t output_index = 0;
  std::vector<int32_t> masked;
  std::map<int32_t, int32_t> seen;  // of prompt and output: times in the output; if penalised
};

struct StubModel {
  uint64_t key = 0;  // another key, other tokens
  int32_t layers = 3;
  ExpertGrid grid;
  int32_t top_k = 2;
  int32_t vocabulary = 24;
  RequestLimits limits;

  static StubModel Draw(Random& chance);
  ModelIdentity Identity() const;

  StubRow Embed(int32_t token) const;
  // What the latent cache keeps of one position in one layer.
  uint64_t Latent(int32_t layer, const StubRow& x) const;
  // Attention reads the latents of positions 0, 1, ... in order: folds them one by one, then adds.
  uint64_t Fold(uint64_t so_far, uint64_t latent) const;
  StubRow Attend(int32_t layer, const StubRow& x, uint64_t folded) const;
  StubRow Norm(int32_t layer, const StubRow& x) const;
  StubRow Dense(int32_t layer, const StubRow& x, const StubRow& h) const;
  void Choose(int32_t layer, const StubRow& h, int32_t* experts, float* weights) const;
  StubRow Expert(int32_t layer, int32_t expert, const StubRow& h) const;
  StubRow Shared(int32_t layer, const StubRow& h) const;
  // `rows`: top_k of them, in gate order.
  StubRow Combine(const StubRow& x, const StubRow* rows, const float* weights,
                  const StubRow& shared) const;
  // Of every id, by id.
  std::vector<float> Logprobs(const StubRow& x) const;
  int32_t Choose(std::vector<float> logprobs, const StubDraw& draw) const;
  // The `count` most likely, ties to the lower id.
  static std::vector<TokenLogprob> Top(const std::vector<float>& logprobs, int32_t count);

 private:
  StubRow Scatter(uint64_t hash) const;
};

}  // namespace expertmesh::simulation
