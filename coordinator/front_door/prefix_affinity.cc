#include "coordinator/front_door/prefix_affinity.h"

#include "common/hash.h"

namespace expertmesh {

std::vector<uint64_t> BeginningsOf(const std::string& salt, absl::Span<const int32_t> prompt) {
  std::vector<uint64_t> beginnings;
  uint64_t hash = Hash64(salt.data(), salt.size());
  for (size_t end = kAffinityChunk; end <= prompt.size(); end += kAffinityChunk) {
    hash = Hash64(prompt.data() + end - kAffinityChunk, kAffinityChunk * sizeof(int32_t), hash);
    beginnings.push_back(hash);
  }
  return beginnings;
}

}  // namespace expertmesh
