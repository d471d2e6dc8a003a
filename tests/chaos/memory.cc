#include "tests/chaos/memory.h"

namespace expertmesh::chaos {

void MemoryWatch::Look(const Fleet& fleet, int64_t now_ms) {
  for (const std::string& name : fleet.names()) {
    const Process& process = fleet.process(name);
    const size_t bytes = process.ResidentBytes();
    if (bytes == 0) continue;  // it has just ended
    const auto [entry, fresh] = lives_.try_emplace({name, process.pid()});
    Life& life = entry->second;
    if (fresh) life.first_ms = now_ms;
    if (now_ms - life.first_ms < warm_ms_) continue;
    if (life.bytes.empty()) life.warm_ms = now_ms;
    life.last_ms = now_ms;
    life.bytes.push_back(bytes);
  }
}

std::vector<Growth> MemoryWatch::Lives() const {
  std::vector<Growth> lives;
  for (const auto& [key, life] : lives_) {
    if (life.bytes.size() < 2) continue;
    lives.push_back({key.first, life.last_ms - life.warm_ms, life.bytes.front(),
                     life.bytes[life.bytes.size() / 2], life.bytes.back()});
  }
  return lives;
}

}  // namespace expertmesh::chaos
