// kept_answer.h: an answer that its worker keeps for a while when nobody listens to it any more, so
// that whoever lost it can have the rest.
#pragma once

#include <cstdint>
#include <string>

#include "common/ids.h"

namespace expertmesh {

// Drawn at random by a front door: who knows it may have the answer, or end it.
struct AnswerKey {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const AnswerKey&) const = default;
};

// The key, and the life of an attention worker that has the answer: no name, nobody yet. Who asks
// for the rest of an answer by it gets what the worker has made meanwhile; and where the worker has
// gone, or has let the answer go, the rest is made as if the key had not been said. So it is a
// shortcut, and says nothing about whether there is an answer.
struct KeptAnswer {
  AnswerKey key;
  std::string worker;
  Incarnation incarnation;
  bool operator==(const KeptAnswer&) const = default;
};

}  // namespace expertmesh
