#include "common/hash.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

namespace expertmesh {

struct Hasher128::State {
  XXH3_state_t xxh;
};

uint64_t Hash64(const void* data, size_t bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(data, bytes, seed);
}

Hasher128::Hasher128() : state_(new State) { XXH3_128bits_reset(&state_->xxh); }
Hasher128::~Hasher128() = default;

void Hasher128::Add(const void* data, size_t bytes) {
  XXH3_128bits_update(&state_->xxh, data, bytes);
}

ModelFingerprint Hasher128::Finish() const {
  XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh);
  return {hash.high64, hash.low64};
}

}  // namespace expertmesh
