#include "attention_worker/core/cache/block_pool.h"

#include "common/check.h"

namespace expertmesh {

BlockPool::BlockPool(int32_t blocks) : references_(blocks, 0), kept_(blocks, false) {
  for (int32_t block = blocks - 1; block >= 0; --block) free_.push_back(block);
}

bool BlockPool::Take(int32_t count, std::vector<int32_t>& out) {
  if (count > free_blocks()) return false;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t block = free_.back();
    free_.pop_back();
    references_[block] = 1;
    out.push_back(block);
  }
  return true;
}

void BlockPool::Share(int32_t block) {
  CHECK(references_[block] > 0, "a shared block is taken");
  idle_ -= idle(block) ? 1 : 0;
  ++references_[block];
}

void BlockPool::Give(int32_t block) {
  CHECK(references_[block] > 0, "a reference is given back once");
  if (--references_[block] == 0) free_.push_back(block);
  idle_ += idle(block) ? 1 : 0;
}

void BlockPool::Keep(int32_t block) {
  CHECK(!kept_[block], "the cache keeps a block once");
  Share(block);
  kept_[block] = true;
}

void BlockPool::Unkeep(int32_t block) {
  CHECK(kept_[block], "the cache gives up what it keeps");
  idle_ -= idle(block) ? 1 : 0;
  kept_[block] = false;
  Give(block);
}

void BlockPool::Give(std::vector<int32_t>& blocks) {
  for (int32_t block : blocks) Give(block);
  blocks.clear();
}

}  // namespace expertmesh
