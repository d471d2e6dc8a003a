#include "attention_worker/core/cache/prefix_cache.h"

#include <algorithm>
#include <iterator>

#include "common/check.h"

namespace expertmesh {
namespace {

size_t CommonRows(const std::vector<int32_t>& key, absl::Span<const int32_t> tokens) {
  const size_t most = std::min(key.size(), tokens.size());
  size_t common = 0;
  while (common < most && key[common] == tokens[common]) ++common;
  return common;
}

}  // namespace

PrefixCache::PrefixCache(BlockPool* pool, int32_t block_rows)
    : pool_(pool), block_rows_(block_rows) {}

PrefixCache::~PrefixCache() { Clear(); }

PrefixMatch PrefixCache::Find(const std::string& salt, absl::Span<const int32_t> tokens, bool use) {
  PrefixMatch match;
  const auto root = roots_.find(salt);
  if (root == roots_.end()) return match;
  Node* node = &root->second;
  while (tokens.size() >= block_rows_) {
    const auto child = node->children.find(tokens.subspan(0, block_rows_));
    if (child == node->children.end()) break;
    node = child->second.get();
    if (use) Use(*node);
    match.blocks.push_back(node->block);
    tokens.remove_prefix(block_rows_);
  }
  if (tokens.empty()) return match;
  // Of sorted keys one of the two around the wanted one has most in common with it.
  const auto after = node->children.lower_bound(tokens.subspan(0, block_rows_));
  Node* best = nullptr;
  for (auto it : {after, after == node->children.begin() ? after : std::prev(after)}) {
    if (it == node->children.end()) continue;
    const auto rows = static_cast<int32_t>(CommonRows(it->first, tokens));
    if (rows <= match.tail_rows) continue;
    best = it->second.get();
    match.tail_rows = rows;
    match.tail = best->block;
  }
  if (use && best != nullptr) Use(*best);
  return match;
}

void PrefixCache::Insert(const std::string& salt, absl::Span<const int32_t> tokens,
                         std::vector<int32_t>& blocks) {
  if (tokens.empty()) return;
  const auto root = roots_.try_emplace(salt).first;
  root->second.salt = &root->first;
  Node* node = &root->second;
  for (size_t i = 0; !tokens.empty(); ++i) {
    const size_t rows = std::min(tokens.size(), block_rows_);
    const absl::Span<const int32_t> key = tokens.subspan(0, rows);
    tokens.remove_prefix(rows);
    const auto child = node->children.lower_bound(key);
    if (child != node->children.end() && CommonRows(child->first, key) == rows) {
      node = child->second.get();  // the same, or, for a tail, one that goes on from it
      Use(*node);
      if (rows == block_rows_) Exchange(blocks[i], node->block);
      continue;
    }
    // A tail that this one goes on from gives way to it.
    Node* before = child == node->children.begin() ? nullptr : std::prev(child)->second.get();
    if (before != nullptr && CommonRows(before->self->first, key) < before->self->first.size()) {
      before = nullptr;
    }
    if (before != nullptr && before->block == blocks[i]) {
      Remove(*before, /*last=*/false);  // a block is kept once
      before = nullptr;
    }
    node = &AddChild(*node, Key(key.begin(), key.end()), blocks[i]);
    if (before != nullptr) Remove(*before, /*last=*/false);
  }
}

void PrefixCache::Exchange(int32_t& mine, int32_t kept) {
  if (mine == kept) return;
  pool_->Share(kept);
  pool_->Give(mine);
  mine = kept;
}

bool PrefixCache::Evict(int32_t wanted) {
  if (pool_->free_blocks() + pool_->idle_blocks() < wanted) return false;  // in vain
  auto it = leaves_.begin();
  while (pool_->free_blocks() < wanted && it != leaves_.end()) {
    Node* node = it->second;
    if (!pool_->idle(node->block)) {
      ++it;
      continue;
    }
    Remove(*node, /*last=*/true);
    it = leaves_.begin();  // its parent may be the next
  }
  return pool_->free_blocks() >= wanted;
}

void PrefixCache::Clear() {
  for (auto& [salt, root] : roots_) ClearNode(root);
  roots_.clear();
  leaves_.clear();
}

void PrefixCache::CountReferences(std::vector<int32_t>& references) const {
  for (const auto& [salt, root] : roots_) Count(root, references);
}

void PrefixCache::Use(Node& node) {
  if (node.children.empty()) leaves_.erase({node.used, &node});
  node.used = ++uses_;
  if (node.children.empty()) leaves_.insert({node.used, &node});
}

PrefixCache::Node& PrefixCache::AddChild(Node& parent, Key key, int32_t block) {
  if (parent.parent != nullptr && parent.children.empty()) {
    leaves_.erase({parent.used, &parent});
  }
  const auto [it, added] = parent.children.emplace(std::move(key), std::make_unique<Node>());
  CHECK(added, "its place was free");
  Node& node = *it->second;
  node.parent = &parent;
  node.block = block;
  node.self = it;
  pool_->Keep(block);
  ++blocks_;
  Use(node);
  return node;
}

void PrefixCache::Remove(Node& node, bool last) {
  CHECK(node.children.empty(), "leaves go first");
  leaves_.erase({node.used, &node});
  pool_->Unkeep(node.block);
  --blocks_;
  Node& parent = *node.parent;
  parent.children.erase(node.self);  // `node` is gone
  if (!last || !parent.children.empty()) return;
  if (parent.parent != nullptr) {
    leaves_.insert({parent.used, &parent});
  } else {
    roots_.erase(roots_.find(*parent.salt));
  }
}

void PrefixCache::ClearNode(Node& node) {
  for (auto& [key, child] : node.children) {
    ClearNode(*child);
    pool_->Unkeep(child->block);
    --blocks_;
  }
  node.children.clear();
}

void PrefixCache::Count(const Node& node, std::vector<int32_t>& references) const {
  for (const auto& [key, child] : node.children) {
    ++references[child->block];
    Count(*child, references);
  }
}

}  // namespace expertmesh
