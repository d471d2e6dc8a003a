// memory.h: whether the programs' memory grows while they serve.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/chaos/fleet.h"

namespace expertmesh::chaos {

// One program's life, in resident bytes.
struct Growth {
  std::string name;
  int64_t watched_ms = 0;  // from the end of its warm-up until the last look
  size_t warm_bytes = 0;   // when it was warm
  size_t half_bytes = 0;   // in the middle
  size_t last_bytes = 0;
};

// Threads: that of its fleet.
class MemoryWatch {
 public:
  // A life is warm so long after it was first seen.
  explicit MemoryWatch(int64_t warm_ms) : warm_ms_(warm_ms) {}
  // Call it about once a second.
  void Look(const Fleet& fleet, int64_t now_ms);
  // Of all lives that came to be warm, by name.
  std::vector<Growth> Lives() const;

 private:
  struct Life {
    int64_t first_ms = 0, warm_ms = 0, last_ms = 0;
    std::vector<size_t> bytes;  // since it was warm, look by look
  };
  const int64_t warm_ms_;
  std::map<std::pair<std::string, int>, Life> lives_;  // by name and process
};

}  // namespace expertmesh::chaos
