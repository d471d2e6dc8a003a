// expert_forward.h: the compute half of an expert worker: loads on a thread of its own, passes on a
// stream.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "expert_worker/compute/shard.h"
#include "expert_worker/core/expert_compute.h"

namespace expertmesh {

struct ExpertForwardOptions {
  bool widen = false;
  size_t max_pass_rows = 512;
};

// Rows arrive and leave in f32 (class cpu-f32's wire). One pass: rows are gathered by expert, go
// through Kernels::ExpertFfn, and are scattered to where they were asked.
class ExpertForward final : public ExpertCompute, private Notifier {
 public:
  // All pointers outlive it; `done` gets the tokens.
  static absl::StatusOr<std::unique_ptr<ExpertForward>> Create(const Checkpoint* checkpoint,
                                                               ExpertForwardOptions options,
                                                               const Kernels* kernels,
                                                               Device* device, Notifier* done);
  ~ExpertForward() override;

  void Load(const ExpertSet& experts, uint64_t token) override;
  absl::Status FinishLoad() override;
  void Unload(const ExpertSet& experts) override;
  void LoadProgress(uint64_t* loaded, uint64_t* wanted) const override;
  void Run(int32_t layer, absl::Span<const PassRow> rows, uint64_t token) override;

 private:
  ExpertForward(const Checkpoint* checkpoint, ExpertForwardOptions options, const Kernels* kernels,
                Device* device, Notifier* done);
  absl::Status Allocate();
  absl::StatusOr<LoadedExperts> LoadAndTest(const ExpertSet& experts);
  absl::Status SelfTest(const LoadedExperts& loaded);
  void OnPassed(uint64_t token) override;  // stream thread: a pass is computed

  const Checkpoint* checkpoint_;
  ExpertForwardOptions options_;
  const Kernels* kernels_;
  Device* device_;
  Notifier* done_;
  Shard shard_;

  // Of the pass that runs.
  Buffer input_;    // [max_pass_rows, hidden] f32, grouped by expert
  Buffer output_;   // same
  Buffer scratch_;  // [max_pass_rows, 2 * intermediate] f32
  std::vector<RowGroup> groups_;
  std::vector<int32_t> order_;      // grouped row -> row of the pass
  std::vector<int32_t> first_row_;  // per expert, while sorting
  absl::Span<const PassRow> rows_;

  std::thread loader_;
  std::atomic<uint64_t> loaded_bytes_{0};
  uint64_t wanted_bytes_ = 0;
  std::atomic<bool> cancelled_{false};
  absl::StatusOr<LoadedExperts> load_result_ = absl::UnknownError("no load");
  std::unique_ptr<Stream> stream_;  // last: its destructor finishes the pass that runs
};

}  // namespace expertmesh
