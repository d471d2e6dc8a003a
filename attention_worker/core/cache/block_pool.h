// block_pool.h: which blocks of the latent cache belong to whom. It counts; it holds no bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace expertmesh {

// Blocks are numbered [0, blocks). Threads: one.
class BlockPool {
 public:
  explicit BlockPool(int32_t blocks);

  // Appends `count` free blocks to `out`; false, and nothing taken, when there are fewer.
  bool Take(int32_t count, std::vector<int32_t>& out);
  // Gives all of `blocks` back and clears it. Each must be taken: CHECKed.
  void Give(std::vector<int32_t>& blocks);

  int32_t free_blocks() const { return static_cast<int32_t>(free_.size()); }
  int32_t used_blocks() const { return total_ - free_blocks(); }

 private:
  int32_t total_;
  std::vector<int32_t> free_;
  std::vector<bool> taken_;
};

}  // namespace expertmesh
