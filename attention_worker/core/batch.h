// batch.h: which sequences wait and which run, and what each holds of the latent cache.
//
// Continuous batching: whoever waits is admitted as soon as there is a place and blocks for what is
// known of it; from then on it takes blocks as it grows. Where none is to be had, the victim of
// waiting_order.h gives its blocks back, waits again ahead of those that never ran, and computes
// anew what nobody kept. The oldest of those that run is never a victim, and no request is longer
// than the empty cache: so there is always one that goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "attention_worker/core/cache/cache_ledger.h"
#include "attention_worker/core/scheduler/fair_share.h"
#include "attention_worker/core/scheduler/scheduler.h"
#include "attention_worker/core/scheduler/wait_estimate.h"
#include "attention_worker/core/scheduler/waiting_order.h"
#include "attention_worker/core/sequence.h"

namespace expertmesh {

struct BatchOptions {
  SchedulerLimits scheduler;
  int32_t max_sequences = 64;  // that run
};

// Threads: one. Sequences are the batch's from Add on, until they have ended and Sweep was called.
class Batch {
 public:
  Batch(BatchOptions options, int32_t blocks, int32_t block_rows);

  // It waits.
  void Add(SequencePtr sequence);
  // Those that wait, by arrival; those that run, by arrival.
  const std::vector<SequencePtr>& waiting() const { return waiting_; }
  const std::vector<SequencePtr>& running() const { return running_; }
  // Null: none of this number waits or runs.
  Sequence* Find(RequestId id) const;

  // Lets go of those that waited and have ended.
  void SweepWaiting();

  // Between steps only:
  // Lets go of all that have ended.
  void Sweep();
  // Takes from those that wait.
  void Admit(Time now);
  // The rows of the next step, decode rows first, and the copies that it begins with. Indices are
  // those of running(). May preempt.
  void Plan(Time now, std::vector<RowRange>& ranges, std::vector<BlockCopy>& copies);

  // `rows` planned rows of a sequence were computed.
  void Computed(Sequence& sequence, int32_t rows, Time now);
  // All that is computed of it led to something finite that was looked at: it serves others too. To
  // be told with each token, or when what was wanted of the prompt is known.
  void PromptDone(Sequence& sequence);
  // The step is over.
  void StepDone() { ledger_.CopiesMade(); }
#ifdef EXPERTMESH_MUTANTS
  // The planted bug preempts_suspended_rows: a victim is chosen while a step names it.
  void PreemptInTheMidstOfAStep() {
    if (running_.size() < 2) return;
    PreemptOne();
    std::erase(running_, nullptr);
  }
#endif

  // What has been computed so far serves nobody who comes from now on.
  void ForgetLatents();
  // How long this request would wait for its turn if it came now; nullopt: not known.
  std::optional<Duration> ExpectedWait(const GenerateRequest& request, Time now);
  // Every block is given back, without a step in flight or any to come.
  void ReleaseAll();

  int32_t used_blocks() const { return ledger_.used_blocks(); }
  int64_t preemptions() const { return preemptions_; }
  int32_t most_preemptions() const { return most_preemptions_; }  // of one sequence
  // INTERNAL: what is wrong with the accounts of cache and callers.
  absl::Status Check() const;

 private:
  Waiting WaitingOf(const Sequence& sequence) const;
  void LineUp();
  bool Fits(Sequence& next, CacheLedger::Found found) const;
  bool Awaits(const Sequence& next, int32_t found) const;
  bool TryAdmit(Sequence& next);
  void PlanRows(Time now, std::vector<RowRange>& ranges);
  void PreemptOne();
  void CloseGaps(std::vector<RowRange>& ranges);
  void Keep(Sequence& sequence);

  BatchOptions options_;
  int32_t block_rows_;
  CacheLedger ledger_;
  FairShare shares_;
  WaitEstimate estimate_;
  uint64_t next_order_ = 1;
  int64_t preemptions_ = 0;
  int32_t most_preemptions_ = 0;
  bool short_of_blocks_ = false;  // the next one did not fit when it was last tried
  bool changed_ = false;          // since then
  std::vector<SequencePtr> waiting_;
  std::vector<SequencePtr> running_;
  // Scratch.
  std::vector<Progress> progress_;
  std::vector<Holder> holders_;
  std::vector<Waiting> line_;
  std::vector<Sequence*> in_line_;  // beside line_
  std::vector<int32_t> numbers_;
};

}  // namespace expertmesh
