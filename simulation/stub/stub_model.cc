#include "simulation/stub/stub_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace expertmesh::simulation {
namespace {

constexpr uint64_t kElements = 65536;

// Any bits, also those of poison: not only of whole numbers.
uint64_t HashRow(uint64_t key, const StubRow& row) {
  uint64_t hash = key;
  for (float element : row) {
    uint32_t bits = 0;
    std::memcpy(&bits, &element, sizeof(bits));
    hash = (hash ^ bits) * 0x9fb21c651e98df25u;
    hash ^= hash >> 29;
  }
  return Mix(hash);
}

uint64_t Label(uint64_t key, uint64_t what, uint64_t layer, uint64_t detail = 0) {
  return key ^ (what << 56) ^ (layer << 40) ^ (detail << 20);
}

enum : uint64_t {
  kEmbed = 1,
  kLatent,
  kAttend,
  kNorm,
  kDense,
  kGate,
  kExpert,
  kShared,
  kHead,
  kDraw
};

// Poison stays poison: it is not a number, and hashes to something that no real row gives.
StubRow AddModulo(const StubRow& a, const StubRow& b) {
  StubRow sum;
  for (int i = 0; i < kStubHidden; ++i) {
    const float s = a[i] + b[i];
    sum[i] = s >= kElements ? s - kElements : s;
  }
  return sum;
}

}  // namespace

StubModel StubModel::Draw(Random& chance) {
  StubModel model;
  model.key = chance.Next();
  model.layers = static_cast<int32_t>(chance.Between(2, 4));
  model.grid.first_layer = static_cast<int32_t>(chance.Between(0, 1));
  model.grid.layers = model.layers - model.grid.first_layer;
  model.grid.experts = static_cast<int32_t>(chance.Between(4, 8));
  model.top_k = static_cast<int32_t>(chance.Between(1, 3));
  model.vocabulary = static_cast<int32_t>(chance.Between(16, 32));
  model.limits.vocabulary = model.vocabulary;
  model.limits.max_context = 40;
  model.limits.eos_token_ids = {static_cast<int32_t>(chance.Below(model.vocabulary))};
  return model;
}

ModelIdentity StubModel::Identity() const {
  ModelIdentity identity;
  identity.name = "stub";
  identity.fingerprint = {key, ~key};
  identity.grid = grid;
  identity.hidden = kStubHidden;
  identity.top_k = top_k;
  identity.expert_bytes = 1000;
  return identity;
}

StubRow StubModel::Scatter(uint64_t hash) const {
  StubRow row;
  for (int i = 0; i < kStubHidden; ++i) {
    if (i == 4) hash = Mix(hash);
    row[i] = static_cast<float>(hash >> (16 * (i % 4)) & (kElements - 1));
  }
  return row;
}

StubRow StubModel::Embed(int32_t token) const {
  return Scatter(Mix(Label(key, kEmbed, 0, static_cast<uint64_t>(token))));
}

uint64_t StubModel::Latent(int32_t layer, const StubRow& x) const {
  return HashRow(Label(key, kLatent, layer), x);
}

uint64_t StubModel::Fold(uint64_t so_far, uint64_t latent) const {
  so_far = (so_far ^ latent) * 0x9fb21c651e98df25u;
  return so_far ^ (so_far >> 31);
}

StubRow StubModel::Attend(int32_t layer, const StubRow& x, uint64_t folded) const {
  return AddModulo(x, Scatter(Mix(folded ^ Label(key, kAttend, layer))));
}

StubRow StubModel::Norm(int32_t layer, const StubRow& x) const {
  return Scatter(HashRow(Label(key, kNorm, layer), x));
}

StubRow StubModel::Dense(int32_t layer, const StubRow& x, const StubRow& h) const {
  return AddModulo(x, Scatter(HashRow(Label(key, kDense, layer), h)));
}

void StubModel::Choose(int32_t layer, const StubRow& h, int32_t* experts, float* weights) const {
  uint64_t hash = HashRow(Label(key, kGate, layer), h);
  for (int32_t k = 0; k < top_k; ++k) {
    int32_t expert = static_cast<int32_t>(hash % grid.experts);
    while (std::find(experts, experts + k, expert) != experts + k) {
      expert = (expert + 1) % grid.experts;
    }
    experts[k] = expert;
    hash = Mix(hash);
    weights[k] = static_cast<float>(1 + hash % 4);
  }
}

StubRow StubModel::Expert(int32_t layer, int32_t expert, const StubRow& h) const {
  return Scatter(HashRow(Label(key, kExpert, layer, static_cast<uint64_t>(expert)), h));
}

StubRow StubModel::Shared(int32_t layer, const StubRow& h) const {
  return Scatter(HashRow(Label(key, kShared, layer), h));
}

StubRow StubModel::Combine(const StubRow& x, const StubRow* rows, const float* weights,
                           const StubRow& shared) const {
  StubRow sum = AddModulo(x, shared);
  for (int32_t k = 0; k < top_k; ++k) {
    StubRow weighted = rows[k];
    for (float& element : weighted) element = std::fmod(element * weights[k], float{kElements});
    sum = AddModulo(sum, weighted);
  }
  return sum;
}

std::vector<float> StubModel::Logprobs(const StubRow& x) const {
  std::vector<float> logprobs(vocabulary);
  uint64_t hash = HashRow(Label(key, kHead, 0), x);
  for (float& logprob : logprobs) {
    hash = Mix(hash + 1);
    logprob = -static_cast<float>(1 + hash % 1024) / 64;
  }
  return logprobs;
}

int32_t StubModel::Choose(std::vector<float> logprobs, const StubDraw& draw) const {
  constexpr int32_t kBestFew = 4;
  for (const auto& [id, times] : draw.seen) logprobs[id] -= static_cast<float>(1 + times);
  for (int32_t id : draw.masked) logprobs[id] = -std::numeric_limits<float>::infinity();
  if (draw.temperature == 0) return Top(logprobs, 1)[0].id;
  const uint64_t place = static_cast<uint64_t>(draw.output_index);
  const uint64_t hash = Mix(draw.seed ^ Mix(Label(key, kDraw, draw.choice, place)));
  return Top(logprobs, kBestFew)[hash % kBestFew].id;
}

std::vector<TokenLogprob> StubModel::Top(const std::vector<float>& logprobs, int32_t count) {
  std::vector<int32_t> ids(logprobs.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int32_t a, int32_t b) { return logprobs[a] > logprobs[b]; });
  std::vector<TokenLogprob> top;
  for (int32_t i = 0; i < count; ++i) top.push_back({ids[i], logprobs[ids[i]]});
  return top;
}

}  // namespace expertmesh::simulation
