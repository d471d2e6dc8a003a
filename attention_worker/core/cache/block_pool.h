// block_pool.h: which blocks of the latent cache are taken, and by how many. It counts; it holds no
// bytes.
//
// A block is free, or has references: of sequences, and one of the prefix cache if that keeps it. A
// block that the prefix cache alone refers to is idle: it can be had, by eviction.
#pragma once

#include <cstdint>
#include <vector>

namespace expertmesh {

// Blocks are numbered [0, blocks). Threads: one.
class BlockPool {
 public:
  explicit BlockPool(int32_t blocks);

  // Appends `count` free blocks to `out`, each with one reference; false, and nothing taken, when
  // there are fewer.
  bool Take(int32_t count, std::vector<int32_t>& out);
  // One more reference to a taken block: CHECKed.
  void Share(int32_t block);
  // Gives one reference back; the block must be taken: CHECKed.
  void Give(int32_t block);
  // The same of all of `blocks`, and clears it.
  void Give(std::vector<int32_t>& blocks);

  // The prefix cache's reference, which a block has once at most: CHECKed.
  void Keep(int32_t block);
  void Unkeep(int32_t block);

  int32_t references(int32_t block) const { return references_[block]; }
  bool idle(int32_t block) const { return kept_[block] && references_[block] == 1; }
  int32_t blocks() const { return static_cast<int32_t>(references_.size()); }
  int32_t free_blocks() const { return static_cast<int32_t>(free_.size()); }
  int32_t idle_blocks() const { return idle_; }
  // Those of sequences.
  int32_t used_blocks() const { return blocks() - free_blocks() - idle_; }

 private:
  std::vector<int32_t> references_;  // of each block
  std::vector<bool> kept_;
  std::vector<int32_t> free_;
  int32_t idle_ = 0;
};

}  // namespace expertmesh
