// Sampling against the oracle: the logits processors of Hugging Face transformers
// (tools/sampling_goldens.py wrote the goldens).
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/sample.h"

namespace expertmesh {
namespace {

using nlohmann::json;

const json& Golden() {
  static const json* const golden = new json(
      json::parse(std::ifstream(EXPERTMESH_SOURCE_DIR "/tests/golden/sampling/sampling.json")));
  return *golden;
}

std::vector<float> Floats(const json& list) { return list.get<std::vector<float>>(); }

TEST(SamplingGolden, BiasAndRepetitionPenaltyGiveTheBitsOfTransformers) {
  int values = 0;
  for (const json& golden : Golden()["processed"]) {
    const std::vector<float> logits = Floats(golden["logits"]);
    const std::vector<float> want = Floats(golden["processed"]);
    const std::vector<float> biases = Floats(golden["biases"]);
    const auto bias_ids = golden["bias_ids"].get<std::vector<int32_t>>();
    std::map<int32_t, int32_t> counts;  // which of them are output does not matter here
    for (int32_t id : golden["tokens"]) ++counts[id];
    std::vector<int32_t> seen_ids, seen_counts;
    for (const auto& [id, count] : counts) {
      seen_ids.push_back(id);
      seen_counts.push_back(count);
    }
    SampleRow row;
    row.bias_ids = bias_ids;
    row.biases = biases;
    row.seen_ids = seen_ids;
    row.seen_counts = seen_counts;
    row.repetition_penalty = golden["repetition_penalty"];
    std::vector<float> y(logits.size());
    ChangeLogits(logits.data(), static_cast<int64_t>(logits.size()), row, y.data());
    for (size_t i = 0; i < y.size(); ++i, ++values) {
      EXPECT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(want[i]))
          << "penalty " << row.repetition_penalty << ", id " << i << ": " << y[i] << " against "
          << want[i];
    }
  }
  std::printf("%d logits have the bits of transformers\n", values);
  EXPECT_GT(values, 500);
}

TEST(SamplingGolden, FiltersKeepTheIdsThatTransformersKeeps) {
  const MicroKernels& micro = *FindMicroKernels("scalar");
  int sets = 0;
  for (const json& golden : Golden()["kept"]) {
    const std::vector<float> logits = Floats(golden["logits"]);
    const int64_t n = static_cast<int64_t>(logits.size());
    SampleRow row;
    row.temperature = golden.value("temperature", 1.0f);
    row.top_k = golden.value("top_k", 0);
    row.top_p = golden.value("top_p", 1.0f);
    row.min_p = golden.value("min_p", 0.0f);
    std::vector<float> z(n);
    std::vector<uint64_t> order(n);
    ScaleLogits(logits.data(), n, *std::max_element(logits.begin(), logits.end()), row.temperature,
                z.data());
    Candidates candidates(z.data(), n, order.data());
    const Kept kept = FilterCandidates(row, SumExpByChunk(micro, z.data(), n, 0), candidates);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < kept.count; ++i) ids.push_back(candidates.id(i));
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(ids, golden["kept"].get<std::vector<int32_t>>())
        << "temperature " << row.temperature << ", top-k " << row.top_k << ", top-p " << row.top_p
        << ", min-p " << row.min_p;
    ++sets;
  }
  std::printf("%d sets of kept ids are those of transformers\n", sets);
  EXPECT_GE(sets, 30);
}

}  // namespace
}  // namespace expertmesh
