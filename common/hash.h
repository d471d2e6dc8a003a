// hash.h: XXH3, for checksums and fingerprints. Not for anything that must resist an attacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "common/ids.h"

namespace expertmesh {

uint64_t Hash64(const void* data, size_t bytes, uint64_t seed = 0);

// A 128-bit hash of bytes that come in pieces; the cut into pieces does not matter.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(const Hasher128&) = delete;
  Hasher128& operator=(const Hasher128&) = delete;

  void Add(const void* data, size_t bytes);
  void Add(absl::string_view text) { Add(text.data(), text.size()); }
  ModelFingerprint Finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace expertmesh
