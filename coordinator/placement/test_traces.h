// test_traces.h: loads by name, made from a seed: the same on every machine, nothing measured.
//
//   zipf-S      in each layer expert loads are 1 / rank^S, ranks shuffled anew per layer
//   hot-pair    two neighbours per layer carry 40 % of it, the rest is as zipf-0.6
//   layer-skew  zipf-0.8, and the last layer carries four times the first
//   groups      8 routing groups with zipf-0.7 loads, inside a group zipf-0.5
//
// Each may drift in time: in a step every load is multiplied by e^(0.25 * n), n about normal, and
// layers are scaled to what they carried before.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/placement/fleet.h"

namespace expertmesh {

class TraceRandom {
 public:
  explicit TraceRandom(uint64_t seed) : state_(seed) {}
  uint64_t Next() {  // splitmix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t bound) { return static_cast<int64_t>(Next() % uint64_t(bound)); }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  double Normal() {  // the sum of twelve uniform numbers
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += Uniform();
    return sum;
  }
  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[Below(i)]);
  }

 private:
  uint64_t state_;
};

inline std::vector<double> ZipfLayer(int32_t experts, double exponent, TraceRandom& random) {
  std::vector<double> loads(experts);
  for (int32_t e = 0; e < experts; ++e) loads[e] = std::pow(e + 1.0, -exponent);
  random.Shuffle(loads);
  return loads;
}

// So that the layer carries `sum`.
inline void ScaleTo(std::vector<double>& loads, double sum) {
  const double now = std::accumulate(loads.begin(), loads.end(), 0.0);
  for (double& load : loads) load *= sum / now;
}

inline std::vector<double> GroupsLayer(int32_t experts, TraceRandom& random) {
  std::vector<double> of_groups = ZipfLayer(8, 0.7, random), loads;
  for (double group : of_groups) {
    std::vector<double> inside = ZipfLayer(experts / 8, 0.5, random);
    ScaleTo(inside, group);
    loads.insert(loads.end(), inside.begin(), inside.end());
  }
  return loads;
}

inline std::vector<double> HotPairLayer(int32_t experts, TraceRandom& random) {
  std::vector<double> loads = ZipfLayer(experts, 0.6, random);
  ScaleTo(loads, 0.6);
  const int64_t hot = random.Below(experts - 1);
  loads[hot] = loads[hot + 1] = 0.2;
  return loads;
}

inline std::vector<double> TraceLayer(const std::string& name, int32_t experts,
                                      TraceRandom& random) {
  if (name.starts_with("zipf-")) return ZipfLayer(experts, std::stod(name.substr(5)), random);
  if (name == "hot-pair") return HotPairLayer(experts, random);
  if (name == "layer-skew") return ZipfLayer(experts, 0.8, random);
  if (name == "groups") return GroupsLayer(experts, random);
  return std::vector<double>(experts, 1);
}

// Tokens per second, [layers * experts]; each layer 1000 but for layer-skew.
inline std::vector<double> Trace(const std::string& name, const ExpertGrid& grid,
                                 uint64_t seed = 1) {
  TraceRandom random(seed);
  std::vector<double> loads;
  for (int32_t layer = 0; layer < grid.layers; ++layer) {
    std::vector<double> of_layer = TraceLayer(name, grid.experts, random);
    const double skew = name == "layer-skew" ? 3.0 * layer / std::max(grid.layers - 1, 1) : 0;
    ScaleTo(of_layer, 1000 * (1 + skew));
    loads.insert(loads.end(), of_layer.begin(), of_layer.end());
  }
  return loads;
}

// The loads one step later; each layer carries as much as before.
inline std::vector<double> Drifted(const std::vector<double>& loads, const ExpertGrid& grid,
                                   TraceRandom& random) {
  std::vector<double> drifted;
  for (int32_t layer = 0; layer < grid.layers; ++layer) {
    const auto begin = loads.begin() + int64_t{layer} * grid.experts;
    std::vector<double> of_layer(begin, begin + grid.experts);
    const double sum = std::accumulate(of_layer.begin(), of_layer.end(), 0.0);
    for (double& load : of_layer) load *= std::exp(0.25 * random.Normal());
    ScaleTo(of_layer, sum);
    drifted.insert(drifted.end(), of_layer.begin(), of_layer.end());
  }
  return drifted;
}

inline const std::vector<std::string>& TraceNames() {
  static const std::vector<std::string> names = {"zipf-0.6",   "zipf-1.0", "zipf-1.4", "hot-pair",
                                                 "layer-skew", "groups",   "drift"};
  return names;
}

// `workers` alike, such that each has `slots` per layer within the limits of balance.
inline PlacementInput TraceFleet(const std::string& trace, const ExpertGrid& grid, int32_t workers,
                                 int32_t slots, uint64_t seed = 1) {
  PlacementInput input;
  input.grid = grid;
  if (trace == "groups") input.routing = {8, 3, 6};
  input.expert_bytes = 1;
  input.loads = Trace(trace, grid, seed);
  for (int32_t w = 0; w < workers; ++w) {
    PlacementWorker worker;
    worker.name = "w" + std::to_string(1000 + w);
    worker.room = static_cast<int64_t>(std::ceil(slots * grid.layers / 0.9));
    input.workers.push_back(std::move(worker));
  }
  return input;
}

}  // namespace expertmesh
