// pass_queue.h: dispatches that wait for their experts, and which rows make the next pass.
//
// A pass takes rows of one layer, at most `max_rows`, from any callers: first the layer of the
// oldest call of the best lane, then whatever else waits for that layer, lane by lane, in order of
// arrival. A call may be cut over several passes: rows are independent, so every cut is legal.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "transport/message.h"

namespace expertmesh {

// One dispatch in hand, until its combine has left.
struct ExpertCall {
  uint64_t channel = 0;
  Message request;
  std::vector<std::byte>
      output;        // one row per assignment, in the wire's dtype; from its first pass
  size_t taken = 0;  // assignments given to passes
  size_t done = 0;   // assignments computed
  size_t assignments() const { return request.assignments.size(); }
};

// Assignments [first, first + count) of one call.
struct PassPiece {
  ExpertCall* call = nullptr;
  size_t first = 0;
  size_t count = 0;
};

// Threads: one. Pointers to calls are the caller's and must stay until Remove or their last piece.
class PassQueue {
 public:
  explicit PassQueue(size_t max_rows) : max_rows_(max_rows) {}

  void Push(ExpertCall* call);
  // Forgets the call if it still waits.
  void Remove(ExpertCall* call);
  bool empty() const { return waiting_.empty(); }
  size_t size() const { return waiting_.size(); }

  // The next pass, into `pieces` (cleared first); all of layer `*layer`. Not to be called when
  // empty.
  void TakePass(std::vector<PassPiece>& pieces, int32_t* layer);

 private:
  const ExpertCall* Best() const;

  size_t max_rows_;
  std::deque<ExpertCall*> waiting_;  // in order of arrival
};

}  // namespace expertmesh
