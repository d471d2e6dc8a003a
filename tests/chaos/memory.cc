#include "tests/chaos/memory.h"

namespace expertmesh::chaos {

void MemoryWatch::Look(const Fleet& fleet, int64_t now_ms) {
  for (const std::string& name : fleet.names()) {
    const Process& process = fleet.process(name);
    const size_t bytes = process.ResidentBytes();
    if (bytes == 0) continue;  // it has just ended
    const auto [entry, fresh] = lives_.try_emplace({name, process.pid()});
    Life& life = entry->second;
    if (fresh) life = {{name}, now_ms};
    const int64_t watched_ms = now_ms - life.first_ms - warm_ms_;
    if (watched_ms < 0) continue;
    if (life.growth.warm_bytes == 0) life.growth.warm_bytes = bytes;
    life.growth.watched_ms = watched_ms;
    life.growth.last_bytes = bytes;
  }
}

std::vector<Growth> MemoryWatch::Lives() const {
  std::vector<Growth> lives;
  for (const auto& [key, life] : lives_) {
    if (life.growth.watched_ms > 0) lives.push_back(life.growth);
  }
  return lives;
}

}  // namespace expertmesh::chaos
