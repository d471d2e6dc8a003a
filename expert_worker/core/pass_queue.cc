#include "expert_worker/core/pass_queue.h"

#include <algorithm>

#include "common/check.h"

namespace expertmesh {

bool PassQueue::GoesFirst(const ExpertCall& call) const {
  return patient_ && call.passed_over >= kPassesOfPatience;
}

Lane PassQueue::LaneOf(const ExpertCall& call) const {
  return GoesFirst(call) ? Lane::kControl : call.request.header.lane;
}

void PassQueue::Push(ExpertCall* call) { waiting_.push_back(call); }

void PassQueue::Remove(ExpertCall* call) { std::erase(waiting_, call); }

const ExpertCall* PassQueue::Best() const {
  return *std::min_element(
      waiting_.begin(), waiting_.end(),
      [this](const ExpertCall* a, const ExpertCall* b) { return LaneOf(*a) < LaneOf(*b); });
}

void PassQueue::TakePass(std::vector<PassPiece>& pieces, int32_t* layer) {
  CHECK(!waiting_.empty(), "a pass needs a waiting call");
  pieces.clear();
  const ExpertCall& best = *Best();
  const uint32_t wanted = best.request.header.layer;
  *layer = static_cast<int32_t>(wanted);
  size_t room = max_rows_;
  for (Lane lane : {Lane::kControl, Lane::kDecode, Lane::kPrefill}) {
    TakeLane(wanted, lane, room, pieces);
  }
  patient_ = !GoesFirst(best);
  for (ExpertCall* call : waiting_) ++call->passed_over;
  for (const PassPiece& piece : pieces) piece.call->passed_over = 0;
  std::erase_if(waiting_, [](const ExpertCall* c) { return c->taken == c->assignments(); });
}

void PassQueue::TakeLane(uint32_t layer, Lane lane, size_t& room, std::vector<PassPiece>& pieces) {
  demands_.clear();
  for (const ExpertCall* call : waiting_) {
    if (call->request.header.layer != layer || LaneOf(*call) != lane) continue;
    auto demand = std::find_if(demands_.begin(), demands_.end(),
                               [&](const Demand& d) { return d.channel == call->channel; });
    if (demand == demands_.end()) demand = demands_.insert(demand, {call->channel, 0, 0});
    demand->rows += call->assignments() - call->taken;
  }
  ShareRoom(room, demands_);
  for (ExpertCall* call : waiting_) {
    if (call->request.header.layer != layer || LaneOf(*call) != lane) continue;
    const auto demand = std::find_if(demands_.begin(), demands_.end(),
                                     [&](const Demand& d) { return d.channel == call->channel; });
    const size_t count = std::min(demand->granted, call->assignments() - call->taken);
    if (count == 0) continue;
    pieces.push_back({call, call->taken, count});
    call->taken += count;
    demand->granted -= count;
    room -= count;
  }
}

// Equal shares, but nobody more than it wants: what one leaves is the others'.
void PassQueue::ShareRoom(size_t room, std::vector<Demand>& demands) {
  size_t open = demands.size();
  while (room > 0 && open > 0) {
    const size_t share = std::max<size_t>(1, room / open);
    open = 0;
    for (Demand& demand : demands) {
      const size_t more = std::min({share, demand.rows - demand.granted, room});
      demand.granted += more;
      room -= more;
      open += demand.granted < demand.rows ? 1 : 0;
    }
  }
}

}  // namespace expertmesh
