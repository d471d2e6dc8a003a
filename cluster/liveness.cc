#include "cluster/liveness.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace expertmesh {

void Liveness::OnCallSent(uint64_t sequence, Time now) {
  if (calls_.empty()) {  // silence counts from here
    last_heard_ = last_asked_ = now;
    unheard_pings_ = 0;
  }
  calls_.push_back({sequence, last_ping_, 0});
}

void Liveness::OnCallAnswered(uint64_t sequence) {
  std::erase_if(calls_, [&](const Call& call) { return call.sequence == sequence; });
}

void Liveness::OnFrame(Time now) {
  last_heard_ = now;
  unheard_pings_ = 0;
}

void Liveness::OnPong(uint64_t ping, absl::Span<const uint64_t> in_hand) {
  if (ping > last_ping_) return;  // never asked
  for (Call& call : calls_) {
    if (ping <= call.pings_before) continue;  // asked before the call: says nothing of it
    const bool held = std::find(in_hand.begin(), in_hand.end(), call.sequence) != in_hand.end();
    call.missed = held ? 0 : call.missed + 1;
    call.pings_before = ping;  // a pong that comes twice counts once
  }
}

Liveness::Verdict Liveness::Check(Time now) {
  if (calls_.empty()) return Verdict::kFine;
  for (const Call& call : calls_) {
    if (call.missed >= kMissedPongs) {
      why_ = absl::StrCat("call ", call.sequence, " is unknown to the peer");
      return Verdict::kLost;
    }
  }
  if (now - last_asked_ < options_.ping_after) return Verdict::kFine;  // time to answer
  // A check that comes late means that we stood still: what the peer said may lie unread. Ask
  // again.
  const bool late = now - last_asked_ > 2 * options_.ping_after;
  const int unheard = late ? kUnheardWhenLate : kUnheard;
  if (now - last_heard_ >= options_.lost_after && unheard_pings_ >= unheard) {
    const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_heard_);
    why_ = absl::StrCat("silent for ", silent.count(), " ms with ", calls_.size(),
                        " calls outstanding");
    return Verdict::kLost;
  }
  // Pings go on at their pace while a call is unanswered, even to a peer that talks: only a pong
  // says whether the call is in its hands.
  last_asked_ = now;
  ++last_ping_;
  ++unheard_pings_;
  return Verdict::kPing;
}

Time Liveness::NextWakeup() const {
  return calls_.empty() ? kNever : last_asked_ + options_.ping_after;
}

}  // namespace expertmesh
