// ids.h: the names that order the fleet: terms and epochs, incarnations, calls, fingerprints.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "absl/hash/hash.h"

namespace expertmesh {

// One version of the topology. `term` is the coordinator's reign, `counter` its versions within it.
// {0, 0} is "none seen yet".
struct Epoch {
  uint64_t term = 0;
  uint64_t counter = 0;
  auto operator<=>(const Epoch&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Epoch& e) {
    return H::combine(std::move(h), e.term, e.counter);
  }
};

// One life of a worker, handed out by the coordinator at join. Ordered: of two incarnations of one
// name the greater is the newer, whatever the clocks say. {0, 0} is "not joined yet".
struct Incarnation {
  uint64_t term = 0;
  uint64_t number = 0;
  auto operator<=>(const Incarnation&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Incarnation& i) {
    return H::combine(std::move(h), i.term, i.number);
  }
};

// One dispatch, never reused: the sender's incarnation and its sequence number. A combine echoes
// it, and is matched by both halves.
struct CallId {
  Incarnation sender;
  uint64_t sequence = 0;
  auto operator<=>(const CallId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const CallId& c) {
    return H::combine(std::move(h), c.sender, c.sequence);
  }
};

// What a checkpoint is: a hash of its config, its tensor headers and a few sampled tensors.
struct ModelFingerprint {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const ModelFingerprint&) const = default;
};

// An arithmetic: its name, and the hash of the bits that it gives on fixed inputs. The same name
// with another hash is another class.
struct ComputeClass {
  std::string name;
  uint64_t fingerprint = 0;
  auto operator<=>(const ComputeClass&) const = default;
};

std::string ToString(const Epoch& epoch);                   // "3.17"
std::string ToString(const Incarnation& incarnation);       // "3#5"
std::string ToString(const CallId& call);                   // "3#5/1042"
std::string ToString(const ModelFingerprint& fingerprint);  // 32 hex digits
std::string ToString(const ComputeClass& compute_class);    // "cpu-f32/9f86d081884c7d65"

}  // namespace expertmesh
