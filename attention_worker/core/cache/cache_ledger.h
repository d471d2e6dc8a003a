// cache_ledger.h: what each sequence holds of the latent cache: the pool of blocks and the prefix
// cache, as one account.
//
// Blocks are taken as a sequence grows. Where none is free, what only the prefix cache keeps is
// given up for it; where that is not enough either, somebody has to be preempted (batch.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "attention_worker/core/cache/block_pool.h"
#include "attention_worker/core/cache/prefix_cache.h"
#include "attention_worker/core/layer_compute.h"

namespace expertmesh {

// One sequence's part. Its blocks go back by Release alone.
struct CacheHolding {
  std::vector<int32_t> blocks;  // in order of position
  int32_t cached = 0;           // positions [0, cached) are computed, or will be by `copy`
  // The last of these positions are to be copied from a block of somebody else's. It has a
  // reference to that.
  std::optional<BlockCopy> copy;
};

// Threads: one.
class CacheLedger {
 public:
  CacheLedger(int32_t blocks, int32_t block_rows);

  // Begins an empty holding with what is there of `tokens`: full blocks, and with `tail` a part of
  // one more, to be copied.
  void Reuse(const std::string& salt, absl::Span<const int32_t> tokens, bool tail,
             CacheHolding& holding);
  // Appends the copy that the holding waits for, if it does, to a step's. Its source stays until
  // CopiesMade, when the step is over.
  void TakeCopy(CacheHolding& holding, std::vector<BlockCopy>& copies);
  void CopiesMade();
  // What Reuse would find now.
  struct Found {
    int32_t positions = 0;
    int32_t used_blocks = 0;  // of them, those that sequences have: they cost nothing
  };
  Found Look(const std::string& salt, absl::Span<const int32_t> tokens);

  // Blocks for positions [0, positions); false, and nothing taken, when they cannot be had.
  bool Grow(CacheHolding& holding, int32_t positions);
  // Keeps for others what is computed of `tokens`. Nothing while a copy is waited for.
  void Keep(const std::string& salt, absl::Span<const int32_t> tokens, CacheHolding& holding);
  void Release(CacheHolding& holding);
  // What others left is forgotten.
  void Forget() { prefixes_.Clear(); }

  int32_t BlocksFor(int32_t positions) const;
  // Those that Grow can have, nearly.
  int32_t obtainable() const { return pool_.free_blocks() + pool_.idle_blocks(); }
  // Those of sequences: 0 when there are none.
  int32_t used_blocks() const { return pool_.used_blocks(); }

  // Whether each block has as many references as `holdings`, which must be all there are, the
  // prefix cache and pending copies have. INTERNAL: which has not.
  absl::Status Check(absl::Span<const CacheHolding* const> holdings) const;

 private:
  const int32_t block_rows_;
  BlockPool pool_;
  PrefixCache prefixes_;
  std::vector<int32_t> sources_;  // of copies that a step makes
};

}  // namespace expertmesh
