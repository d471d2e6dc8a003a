// expert_compute.h: what an expert worker's protocol asks of its compute half.
//
// core/ decides which rows run when; the compute half knows weights and kernels. simulation/ puts a
// stub here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "cluster/expert_set.h"

namespace expertmesh {

// One row of a pass. `input` has `hidden` elements of the wire's dtype, at no particular alignment;
// `output`, as many, is written before the pass is done.
struct PassRow {
  const std::byte* input = nullptr;
  int32_t expert = 0;
  std::byte* output = nullptr;
};

class ExpertCompute {
 public:
  virtual ~ExpertCompute() = default;

  // Reads, packs and self-tests `experts` (none of them held yet), in the background; WorkerNode::
  // OnComputed(token) follows. One load at a time.
  virtual void Load(const ExpertSet& experts, uint64_t token) = 0;
  // After OnComputed of a load: what came of it. OK: the experts may be used from now on.
  virtual absl::Status FinishLoad() = 0;
  // Bytes read so far, and to be read, by the load that runs.
  virtual void LoadProgress(uint64_t* loaded, uint64_t* wanted) const = 0;

  // Gives the memory of `experts` back; all of them are held, and no pass that runs has their rows.
  virtual void Unload(const ExpertSet& experts) = 0;

  // Runs the rows through their experts of `layer`; all of them are held. `rows` and what it points
  // to stay until OnComputed(token). One pass at a time.
  virtual void Run(int32_t layer, absl::Span<const PassRow> rows, uint64_t token) = 0;
};

}  // namespace expertmesh
