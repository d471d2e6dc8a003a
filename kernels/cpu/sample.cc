#include "kernels/cpu/sample.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "common/check.h"
#include "common/math.h"
#include "common/philox.h"
#include "kernels/cpu/select.h"

namespace expertmesh {
namespace {

constexpr int64_t kLogitChunk = 1024;  // of the softmax over the vocabulary: part of the arithmetic
constexpr int64_t kFirstSorted = 256;  // candidates; no part of the arithmetic
constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Ascends where z descends; the sign of a zero does not count.
uint32_t DescendingBits(float z) {
  const uint32_t bits = z == 0 ? 0 : __builtin_bit_cast(uint32_t, z);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7fffffff;
}

int32_t IdOf(uint64_t entry) { return static_cast<int32_t>(entry & 0xffffffff); }

void Penalise(const SampleRow& row, float* y) {
  DCHECK(row.seen_counts.size() == row.seen_ids.size(), "a count for each id");
  for (size_t i = 0; i < row.seen_ids.size(); ++i) {
    float& logit = y[row.seen_ids[i]];
    logit = logit < 0 ? logit * row.repetition_penalty : logit / row.repetition_penalty;
    const int32_t count = row.seen_counts[i];
    if (count == 0) continue;  // in the prompt alone
    const float repeated = row.frequency_penalty * static_cast<float>(count);
    logit = logit - (row.presence_penalty + repeated);
  }
}

}  // namespace

float SumExpByChunk(const MicroKernels& micro, const float* x, int64_t n, float most) {
  float sum = 0;
  for (int64_t i = 0; i < n; i += kLogitChunk) {
    sum = sum + micro.sum_exp(x + i, std::min(kLogitChunk, n - i), most);
  }
  return sum;
}

bool ChangesLogits(const SampleRow& row) {
  return row.restricted || !row.bias_ids.empty() || !row.seen_ids.empty() || !row.masked.empty();
}

void ChangeLogits(const float* x, int64_t n, const SampleRow& row, float* y) {
  if (row.restricted) {
    std::fill_n(y, n, kMasked);
    for (int32_t id : row.allowed) y[id] = x[id];
  } else {
    std::memcpy(y, x, n * sizeof(float));
  }
  DCHECK(row.biases.size() == row.bias_ids.size(), "a bias for each id");
  for (size_t i = 0; i < row.bias_ids.size(); ++i) {
    y[row.bias_ids[i]] = y[row.bias_ids[i]] + row.biases[i];
  }
  Penalise(row, y);
  for (int32_t id : row.masked) y[id] = kMasked;
}

void ScaleLogits(const float* y, int64_t n, float most, float temperature, float* z) {
  for (int64_t i = 0; i < n; ++i) z[i] = (y[i] - most) / temperature;
}

Candidates::Candidates(const float* z, int64_t n, uint64_t* order) : z_(z), order_(order) {
  for (int64_t i = 0; i < n; ++i) {
    if (z[i] >= kExpLowest) {
      order_[count_++] = uint64_t{DescendingBits(z[i])} << 32 | static_cast<uint64_t>(i);
    }
  }
}

double Candidates::Weight(int32_t id) const { return static_cast<double>(Exp(z_[id])); }

void Candidates::SortMore() {
  const int64_t end = std::min(count_, std::max(kFirstSorted, 4 * sorted_));
  if (end < count_) std::nth_element(order_ + sorted_, order_ + end, order_ + count_);
  std::sort(order_ + sorted_, order_ + end);
  sorted_ = end;
}

int32_t Candidates::id(int64_t i) {
  DCHECK(i < count_, "there are so many candidates");
  while (i >= sorted_) SortMore();
  return IdOf(order_[i]);
}

// The sums go in candidate order, in double. Each filter keeps a prefix, so the weight of what is
// kept is where the sum over the prefix stands: that is the renormalisation.
Kept FilterCandidates(const SampleRow& row, float all, Candidates& candidates) {
  Kept kept{candidates.count(), static_cast<double>(all)};
  const auto sum_first = [&](int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum = sum + candidates.weight(i);
    return sum;
  };
  if (row.top_k > 0 && row.top_k < kept.count) kept = {row.top_k, sum_first(row.top_k)};
  if (row.top_p < 1) {
    const double enough = static_cast<double>(row.top_p) * kept.weight;
    Kept head;
    while (head.count < kept.count && (head.count == 0 || head.weight < enough)) {
      head.weight = head.weight + candidates.weight(head.count++);
    }
    kept = head;
  }
  if (row.min_p > 0) {
    Kept head;  // the weight of the most likely is 1
    while (head.count < kept.count) {
      const double weight = candidates.weight(head.count);
      if (weight < row.min_p) break;
      head = {head.count + 1, head.weight + weight};
    }
    kept = head;
  }
  return kept;
}

int32_t DrawCandidate(const Kept& kept, double u, Candidates& candidates) {
  const double target = u * kept.weight;
  double sum = 0;
  for (int64_t i = 0; i + 1 < kept.count; ++i) {
    sum = sum + candidates.weight(i);
    if (sum > target) return candidates.id(i);
  }
  return candidates.id(kept.count - 1);
}

int32_t ChooseId(const MicroKernels& micro, const float* x, int64_t n, float most,
                 const SampleRow& row, float* scaled, uint64_t* order) {
  const float* y = x;
  if (ChangesLogits(row)) {
    ChangeLogits(x, n, row, scaled);
    y = scaled;
    most = micro.maximum(y, n);
  }
  const bool finite = most - most == 0;
  if (row.temperature == 0 || !finite) return IndexOf(y, n, most);
  ScaleLogits(y, n, most, row.temperature, scaled);
  Candidates candidates(scaled, n, order);
  const Kept kept = FilterCandidates(row, SumExpByChunk(micro, scaled, n, 0.0f), candidates);
  const DrawPlace place{.choice = static_cast<uint32_t>(row.choice),
                        .output_index = static_cast<uint32_t>(row.output_index)};
  return DrawCandidate(kept, UniformDraw(row.seed, place), candidates);
}

}  // namespace expertmesh
