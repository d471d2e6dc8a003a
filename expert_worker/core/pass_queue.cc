#include "expert_worker/core/pass_queue.h"

#include <algorithm>

#include "common/check.h"

namespace expertmesh {

void PassQueue::Push(ExpertCall* call) { waiting_.push_back(call); }

void PassQueue::Remove(ExpertCall* call) { std::erase(waiting_, call); }

const ExpertCall* PassQueue::Best() const {
  return *std::min_element(waiting_.begin(), waiting_.end(),
                           [](const ExpertCall* a, const ExpertCall* b) {
                             return a->request.header.lane < b->request.header.lane;
                           });
}

void PassQueue::TakePass(std::vector<PassPiece>& pieces, int32_t* layer) {
  CHECK(!waiting_.empty(), "a pass needs a waiting call");
  pieces.clear();
  const uint32_t wanted = Best()->request.header.layer;
  *layer = static_cast<int32_t>(wanted);
  size_t room = max_rows_;
  for (Lane lane : {Lane::kControl, Lane::kDecode, Lane::kPrefill}) {
    for (ExpertCall* call : waiting_) {
      const MessageHeader& header = call->request.header;
      if (room == 0) break;
      if (header.layer != wanted || header.lane != lane) continue;
      const size_t count = std::min(room, call->assignments() - call->taken);
      pieces.push_back({call, call->taken, count});
      call->taken += count;
      room -= count;
    }
  }
  std::erase_if(waiting_, [](const ExpertCall* c) { return c->taken == c->assignments(); });
}

}  // namespace expertmesh
