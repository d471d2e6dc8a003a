// prefix_affinity.h: which worker has seen the beginning of a prompt before, and so may have it in
// its cache: a guess, never a promise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace expertmesh {

// The hashes of a prompt's beginnings of kAffinityChunk, 2 * kAffinityChunk, ... tokens.
inline constexpr size_t kAffinityChunk = 64;
std::vector<uint64_t> BeginningsOf(const std::string& salt, absl::Span<const int32_t> prompt);

// Remembers the most recently used beginnings, `capacity` of them. Threads: one.
template <typename Worker>
class PrefixAffinity {
 public:
  explicit PrefixAffinity(size_t capacity) : capacity_(capacity) {}

  // `worker` gets a prompt with these beginnings.
  void Note(absl::Span<const uint64_t> beginnings, const Worker& worker) {
    for (uint64_t beginning : beginnings) {
      const auto found = index_.find(beginning);
      if (found != index_.end()) {
        found->second->second = worker;
        recent_.splice(recent_.begin(), recent_, found->second);
        continue;
      }
      recent_.emplace_front(beginning, worker);
      index_[beginning] = recent_.begin();
      if (recent_.size() <= capacity_) continue;
      index_.erase(recent_.back().first);
      recent_.pop_back();
    }
  }
  // `worker` did not take it.
  void Forget(absl::Span<const uint64_t> beginnings, const Worker& worker) {
    for (uint64_t beginning : beginnings) {
      const auto found = index_.find(beginning);
      if (found == index_.end() || found->second->second != worker) continue;
      recent_.erase(found->second);
      index_.erase(found);
    }
  }
  // Who got the longest of these last; null: nobody any of them.
  const Worker* Find(absl::Span<const uint64_t> beginnings) const {
    for (size_t i = beginnings.size(); i > 0; --i) {
      const auto found = index_.find(beginnings[i - 1]);
      if (found != index_.end()) return &found->second->second;
    }
    return nullptr;
  }
  size_t size() const { return recent_.size(); }

 private:
  using Entry = std::pair<uint64_t, Worker>;
  const size_t capacity_;
  std::list<Entry> recent_;  // the newest first
  std::unordered_map<uint64_t, typename std::list<Entry>::iterator> index_;
};

}  // namespace expertmesh
