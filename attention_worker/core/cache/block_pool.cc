#include "attention_worker/core/cache/block_pool.h"

#include "common/check.h"

namespace expertmesh {

BlockPool::BlockPool(int32_t blocks) : total_(blocks), taken_(blocks, false) {
  for (int32_t block = blocks - 1; block >= 0; --block) free_.push_back(block);
}

bool BlockPool::Take(int32_t count, std::vector<int32_t>& out) {
  if (count > free_blocks()) return false;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t block = free_.back();
    free_.pop_back();
    taken_[block] = true;
    out.push_back(block);
  }
  return true;
}

void BlockPool::Give(std::vector<int32_t>& blocks) {
  for (int32_t block : blocks) {
    CHECK(taken_[block], "a block is given back once");
    taken_[block] = false;
    free_.push_back(block);
  }
  blocks.clear();
}

}  // namespace expertmesh
