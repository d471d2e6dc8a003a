// prefix_cache.h: latents that sequences left behind, found again by the tokens that they are of.
//
// A latent depends on the tokens up to its position and on nothing else, so a sequence may take
// over the blocks of whoever began with the same tokens: bit for bit what it would have computed.
// The tree has a node for each block, under the node of the block before it; a node's key is its
// block's tokens:
//
//   salt "" -- [the quick brown] -- [fox jumps over] -- [a]      the last: a tail, not full
//                                \- [fox sleeps in ] -- [its den]
//
// Sequences of different salts share nothing: what is in the cache shows in the time that an answer
// takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "attention_worker/core/cache/block_pool.h"

namespace expertmesh {

// What the cache has of the beginning of some tokens.
struct PrefixMatch {
  std::vector<int32_t> blocks;  // full ones, in order
  int32_t tail = -1;            // a block whose first `tail_rows` positions go on from there; -1:
  int32_t tail_rows = 0;        // none. To be copied, since its owner may go on differently
};

// Holds one reference of the pool for each node. Threads: one.
class PrefixCache {
 public:
  // `pool` outlives this.
  PrefixCache(BlockPool* pool, int32_t block_rows);
  ~PrefixCache();

  // The longest that is there of `tokens`. Takes no references; what it names stays until the next
  // Evict or Clear. With `use` it counts as used now.
  PrefixMatch Find(const std::string& salt, absl::Span<const int32_t> tokens, bool use = true);

  // Keeps the blocks whose positions hold the latents of `tokens`: all full ones, and the last,
  // which may hold fewer. The caller keeps its own references; where a full block is there already,
  // the caller's is exchanged for it. `blocks` has one for each block of tokens, or more.
  void Insert(const std::string& salt, absl::Span<const int32_t> tokens,
              std::vector<int32_t>& blocks);

  // Gives up blocks that nobody else refers to, least recently used first, until the pool has
  // `wanted` free ones. Whether it has; none is given up where that cannot suffice.
  bool Evict(int32_t wanted);
  // Gives up everything.
  void Clear();

  int32_t blocks() const { return blocks_; }
  // Adds its references to each block of the pool.
  void CountReferences(std::vector<int32_t>& references) const;

 private:
  struct Node;
  using Key = std::vector<int32_t>;
  struct KeyLess {
    using is_transparent = void;
    bool operator()(absl::Span<const int32_t> a, absl::Span<const int32_t> b) const {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
    }
  };
  using Children = std::map<Key, std::unique_ptr<Node>, KeyLess>;
  struct Node {
    Node* parent = nullptr;             // null: a salt's root, which has no block
    const std::string* salt = nullptr;  // of a root: its key in roots_
    int32_t block = -1;
    uint64_t used = 0;  // when, by uses_
    Children children;
    Children::iterator self;  // in the parent's
  };

  void Use(Node& node);
  Node& AddChild(Node& parent, Key key, int32_t block);
  // `last`: if it was its parent's only child, the parent is a leaf now, or a root that is gone.
  void Remove(Node& node, bool last);
  void Exchange(int32_t& mine, int32_t kept);
  void ClearNode(Node& node);
  void Count(const Node& node, std::vector<int32_t>& references) const;

  BlockPool* pool_;
  const size_t block_rows_;
  std::map<std::string, Node> roots_;
  std::set<std::pair<uint64_t, Node*>> leaves_;  // by their last use; each has one of its own
  uint64_t uses_ = 0;
  int32_t blocks_ = 0;
};

}  // namespace expertmesh
