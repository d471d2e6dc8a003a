// sample.h: Kernels::Sample for one row, on the calling thread, in the steps that ops.h names.
#pragma once

#include <cstdint>

#include "kernels/cpu/micro_kernels.h"
#include "kernels/ops.h"

namespace expertmesh {

// The sum of Exp(x - most): per chunk of 1,024 ids in lane order, the chunks added in order.
float SumExpByChunk(const MicroKernels& micro, const float* x, int64_t n, float most);

// Whether anything but the raw logits decides which is the greatest.
bool ChangesLogits(const SampleRow& row);

// y[n] = x after allowed ids, biases, penalties and masks.
void ChangeLogits(const float* x, int64_t n, const SampleRow& row, float* y);

// z[n] = (y - most) / temperature. z may be y.
void ScaleLogits(const float* y, int64_t n, float most, float temperature, float* z);

// The ids that may be drawn, most likely first: by z descending, then id ascending. Sorted only as
// far as anyone looks: a prefix at a time is selected from the rest, then sorted. Whatever the
// steps, the order is one, because no two candidates are equal in it.
class Candidates {
 public:
  // Those of z[n] whose weight Exp(z) is above 0. order: memory for n.
  Candidates(const float* z, int64_t n, uint64_t* order);

  int64_t count() const { return count_; }
  int32_t id(int64_t i);                              // of candidate i < count()
  double weight(int64_t i) { return Weight(id(i)); }  // Exp(z)

 private:
  double Weight(int32_t id) const;
  void SortMore();

  const float* z_;
  uint64_t* order_;  // ascending is most likely first: the bits of z, mapped, above the id
  int64_t count_ = 0;
  int64_t sorted_ = 0;
};

// A prefix of the candidates, and the weight that it has together.
struct Kept {
  int64_t count = 0;
  double weight = 0;
};

// What top-k, top-p and min-p leave. `all`: the weight of all candidates.
Kept FilterCandidates(const SampleRow& row, float all, Candidates& candidates);

// The candidate at `u` in [0, 1) of the kept weight.
int32_t DrawCandidate(const Kept& kept, double u, Candidates& candidates);

// The id chosen for one row. most: the greatest of x. scaled, order: memory for n each.
int32_t ChooseId(const MicroKernels& micro, const float* x, int64_t n, float most,
                 const SampleRow& row, float* scaled, uint64_t* order);

}  // namespace expertmesh
