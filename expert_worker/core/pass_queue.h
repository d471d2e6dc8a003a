// pass_queue.h: dispatches that wait for their experts, and which rows make the next pass.
//
// A pass takes rows of one layer, at most `max_rows`, from any callers: the layer of the oldest
// call of the best lane, and of it whatever waits, lane by lane. Where a lane has more rows than
// fit, its senders get equal shares, each its calls in order of arrival. A call that is passed over
// many times comes before all lanes, so a prompt does not wait for ever beside others' decoding;
// but not in two passes in a row, so that many such prompts leave decoding every other pass. A call
// may be cut over several passes: rows are independent, so every cut is legal.
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
      output;           // one row per assignment, in the wire's dtype; from its first pass
  size_t taken = 0;     // assignments given to passes
  size_t done = 0;      // assignments computed
  int passed_over = 0;  // passes that took nothing of it while it waited
  size_t assignments() const { return request.assignments.size(); }
};

// Assignments [first, first + count) of one call.
struct PassPiece {
  ExpertCall* call = nullptr;
  size_t first = 0;
  size_t count = 0;
};

inline constexpr int kPassesOfPatience = 16;

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
  bool GoesFirst(const ExpertCall& call) const;
  Lane LaneOf(const ExpertCall& call) const;
  const ExpertCall* Best() const;
  // What one sender's calls of a lane want, and get.
  struct Demand {
    uint64_t channel = 0;
    size_t rows = 0;
    size_t granted = 0;
  };
  static void ShareRoom(size_t room, std::vector<Demand>& demands);
  void TakeLane(uint32_t layer, Lane lane, size_t& room, std::vector<PassPiece>& pieces);

  size_t max_rows_;
  std::deque<ExpertCall*> waiting_;  // in order of arrival
  bool patient_ = true;              // calls that were passed over may go first in the next pass
  std::vector<Demand> demands_;      // scratch
};

}  // namespace expertmesh
