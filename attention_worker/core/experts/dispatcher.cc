#include "attention_worker/core/experts/dispatcher.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "attention_worker/core/experts/finite.h"
#include "common/check.h"
#include "common/log.h"
#include "common/mutant.h"
#include "common/status.h"

namespace expertmesh {

Dispatcher::Dispatcher(DispatcherOptions options, Transport* transport, NodeHost* host, Lost lost)
    : options_(options),
      host_(host),
      lost_(std::move(lost)),
      peers_(options.liveness, transport,
             [this](const Peer& peer, ChannelId channel, ExpertPeers::End end) {
               OnGone(peer, channel, end);
             }),
      budget_(options.retries) {}

void Dispatcher::SetIncarnation(Incarnation mine) {
  mine_ = mine;
  peers_.SetIncarnation(mine);
}

void Dispatcher::AdoptTopology(std::shared_ptr<const Topology> topology, Time now) {
  topology_ = std::move(topology);
  replicas_ = ReplicaTable(*topology_);
  peers_.Adopt(*topology_, now);
  if (building_.size() < peers_.members()) building_.resize(peers_.members());
}

void Dispatcher::OnOpened(std::shared_ptr<Channel> channel, const Hello& hello, Time now) {
  peers_.OnOpened(*channel, hello);
}

void Dispatcher::OnClosed(ChannelId channel, const absl::Status& why, Time now) {
  peers_.OnClosed(channel, why, now);
}

// ---- rows out

void Dispatcher::Dispatch(const LayerRows& rows, Time now) {
  CHECK(!busy(), "one layer at a time");
  LeaveBehind();
  layer_ = rows;
  for (auto& node : ended_) spare_.push_back(std::move(node));
  ended_.clear();
  const auto slots = static_cast<size_t>(rows.rows) * options_.top_k;
  slots_.assign(slots, Slot());
  missing_ = static_cast<int64_t>(slots);
  pending_.clear();
  suspended_since_ = kNever;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (rows.skip[RowOf(slot)] != 0) {
      Zero(slot);
    } else if (!Route(slot)) {
      Pend(slot);
    }
  }
  SendRouted(Why::kFirst, now);
  fresh_ = !pending_.empty();
}

// Nobody waits for the calls that are still out: others have answered, or their rows were given up.
// What they still say is of their workers alone.
void Dispatcher::LeaveBehind() {
  for (auto& [sequence, call] : calls_) call.over = true;
  hedge_at_ = kNever;
}

// The replica that has least to do so far, of those that owe nothing late if there is one; not
// `than`. -1: none can be reached.
int32_t Dispatcher::Choose(uint32_t slot, const Peer* than) const {
  const int32_t expert = layer_.experts[slot];
  int32_t best = -1;
  std::pair<bool, size_t> least;
  for (int32_t candidate : replicas_.Of(layer_.layer, expert)) {
    const Peer* peer = peers_.At(candidate);
    if (peer == nullptr || peer == than) continue;
    if (!ExpertPeers::Reaches(*peer, layer_.layer, expert)) continue;
    const std::pair<bool, size_t> load(peer->late > 0, building_[candidate].slots.size());
    if (best >= 0 && load >= least) continue;
    best = candidate;
    least = load;
  }
  return best;
}

// Adds the slot to the call of a replica that is not `than`. False: none can be reached.
bool Dispatcher::Route(uint32_t slot, const Peer* than) {
  const int32_t best = Choose(slot, than);
  if (best < 0) return false;
  Call& call = building_[best];
  const auto row = static_cast<uint32_t>(RowOf(slot));
  if (call.rows.empty() || call.rows.back() != row) call.rows.push_back(row);
  call.assignments.push_back(
      {static_cast<uint32_t>(call.rows.size() - 1), static_cast<uint32_t>(layer_.experts[slot])});
  call.slots.push_back(slot);
  slots_[slot].state = Slot::State::kOut;
  ++slots_[slot].out;
  return true;
}

// Whether the budget allows one call more.
bool Dispatcher::MaySend(Why why, Time now) {
  if (why == Why::kFirst) return true;
  if (why == Why::kHedge) return budget_.TrySpare(now);
  const bool allowed = budget_.TrySpend(now);
  starved_ |= !allowed;
  return allowed;
}

void Dispatcher::Count(Why why) {
  if (why == Why::kFirst) budget_.OnFirstCall();
  ++(why == Why::kFirst ? first_calls_ : why == Why::kAgain ? retries_ : hedges_);
}

// Sends what was routed, as far as the budget allows; what nobody is asked for then is pending.
void Dispatcher::SendRouted(Why why, Time now) {
  for (size_t member = 0; member < peers_.members(); ++member) {
    Call& built = building_[member];
    if (built.slots.empty()) continue;
    Peer* peer = peers_.At(static_cast<int32_t>(member));
    const bool there = peer != nullptr && peer->open;  // it may have gone while others were sent to
    const bool allowed = MaySend(why, now);
    if (there && allowed && SendCall(*peer, built, now)) {
      Count(why);
      continue;
    }
    fresh_ |= allowed;
    Unroute(built);
  }
}

// What was not sent is pending again, unless it is asked of somebody else.
void Dispatcher::Unroute(Call& built) {
  for (uint32_t slot : built.slots) {
    if (NoLongerAsks(slot)) Pend(slot);
  }
  built.rows.clear();
  built.assignments.clear();
  built.slots.clear();
}

// False: it was not sent, and `built` is as before.
bool Dispatcher::SendCall(Peer& peer, Call& built, Time now) {
  const uint64_t sequence = next_sequence_++;
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.lane = layer_.lane;
  header.dtype = options_.wire_dtype;
  header.call = {mine_, sequence};
  header.epoch = topology_->epoch;
  header.layer = static_cast<uint32_t>(layer_.layer);
  header.rows = static_cast<uint32_t>(built.rows.size());
  header.row_elements = options_.row_elements;
  Body body;
  body.assignments = built.assignments;
  body.rows = {layer_.hidden, options_.row_bytes, options_.row_bytes, built.rows.size(),
               built.rows};
  const absl::Status sent = peer.channel->Send(header, body, Event(), host_->SentToken(sequence));
  if (!sent.ok()) {
    peers_.Drop(peer, sent, ExpertPeers::End::kOurs, now);
    return false;
  }
  ++unsent_;
  Call& call = NewCall(sequence);
  std::swap(call, built);  // the builder gets an ended call's memory
  call.channel = peer.channel->id();
  call.layer = layer_.layer;
  call.sent = now;
  call.late = call.over = false;
  call.late_at = LateAt(call, now);
  hedge_at_ = std::min(hedge_at_, call.late_at);
  ++peer.calls;
  peer.liveness->OnCallSent(sequence, now);
  return true;
}

// An empty call under this number, in the memory of an ended one where there is any.
Dispatcher::Call& Dispatcher::NewCall(uint64_t sequence) {
  if (spare_.empty()) return calls_[sequence];
  auto node = std::move(spare_.back());
  spare_.pop_back();
  node.key() = sequence;
  node.mapped().rows.clear();
  node.mapped().assignments.clear();
  node.mapped().slots.clear();
  return calls_.insert(std::move(node)).position->second;
}

std::map<uint64_t, Dispatcher::Call>::iterator Dispatcher::EndCall(
    std::map<uint64_t, Call>::iterator call) {
  alone_.erase(call->first);
  auto next = std::next(call);
  ended_.push_back(calls_.extract(call));
  return next;
}

void Dispatcher::OnSent(Time now) { --unsent_; }

// ---- what takes long

Time Dispatcher::LateAt(const Call& call, Time now) const {
  const auto usual = usual_.Longest(call.slots.size());
  if (options_.hedge_after == Duration{} || !usual.has_value()) return kNever;
  return now + std::max(options_.hedge_after, 2 * *usual);
}

void Dispatcher::Hedge(Time now) {
  hedge_at_ = kNever;
  if (missing_ == 0) return;
  for (auto& [sequence, call] : calls_) {
    if (call.over || alone_.contains(sequence)) continue;
    if (now >= call.late_at) HedgeCall(call);
    hedge_at_ = std::min(hedge_at_, call.late_at);
  }
  SendRouted(Why::kHedge, now);
}

void Dispatcher::HedgeCall(Call& call) {
  call.late_at = kNever;
  Peer* peer = peers_.Find(call.channel);
  if (!call.late) ++peer->late;
  call.late = true;
  for (uint32_t slot : call.slots) {
    const Slot& its = slots_[slot];
    const bool hedged = its.out > 1;
    // What has broken a worker is asked of one at a time.
    if (its.state == Slot::State::kOut && !hedged && its.broke == 0) Route(slot, peer);
  }
}

// ---- rows in

void Dispatcher::OnMessage(ChannelId channel, const Message& message, Time now) {
  Peer* peer = peers_.Find(channel);
  if (peer == nullptr) return;
  peer->liveness->OnFrame(now);
  switch (message.header.kind) {
    case MessageKind::kCombine:
      return OnCombine(*peer, message, now);
    case MessageKind::kNotHere:
      return OnNotHere(*peer, message);
    case MessageKind::kPong:
      if (message.header.call.sender == mine_) {
        peer->liveness->OnPong(message.header.ping, message.numbers);
      }
      return;
    case MessageKind::kDispatch:
    case MessageKind::kPing:
      break;
  }
  peers_.Drop(*peer, absl::InvalidArgumentError("an attention worker sends dispatches and pings"),
              ExpertPeers::End::kOurs, now);
}

std::map<uint64_t, Dispatcher::Call>::iterator Dispatcher::AnsweredCall(
    const Peer& peer, const MessageHeader& header) {
  if (Mutant("combine_by_step")) {  // what comes from this worker while it owes us this layer
    const auto owed = [&](const auto& call) { return call.second.channel == peer.channel->id(); };
    const bool of_layer = header.layer == static_cast<uint32_t>(layer_.layer);
    return of_layer ? std::find_if(calls_.begin(), calls_.end(), owed) : calls_.end();
  }
  const bool ours = header.call.sender == mine_ || Mutant("combine_without_sender");
  if (!ours) return calls_.end();                  // of an earlier life of ours
  auto found = calls_.find(header.call.sequence);  // none: answered before, or given up
  const bool asked = found != calls_.end() && found->second.channel == peer.channel->id();
  return asked ? found : calls_.end();
}

void Dispatcher::OnCombine(Peer& peer, const Message& message, Time now) {
  const MessageHeader& header = message.header;
  auto found = AnsweredCall(peer, header);
  if (found == calls_.end()) return;
  const Call& call = found->second;
  if (call.over) {
    NoteTime(call, now);
    return Answered(peer, found);
  }
  if (header.rows != call.slots.size() || header.row_elements != options_.row_elements ||
      header.dtype != options_.wire_dtype) {
    LogWarning("combine ", ToString(header.call), " from ", peer.member.name, " has ", header.rows,
               " rows of ", header.row_elements, "; ", call.slots.size(), " of ",
               options_.row_elements, " expected: dropped");
    return;
  }
  NoteTime(call, now);
  const std::byte* rows = message.rows.bytes().data();
  for (size_t i = 0; i < call.slots.size(); ++i) {
    TakeRow(peer, call.slots[i], rows + i * options_.row_bytes);
  }
  Answered(peer, found);
}

// One that was late makes what is usual longer, but not at once what it took: else a worker that is
// always slow would be late only once.
void Dispatcher::NoteTime(const Call& call, Time now) {
  const size_t pairs = call.slots.size();
  const Duration usual = usual_.Longest(pairs).value_or(Duration{});
  const Duration took = now - call.sent;
  usual_.OnAnswered(pairs, call.late ? std::min(took, 2 * usual) : took);
}

// The first answer to a slot is the one that counts.
void Dispatcher::TakeRow(const Peer& peer, uint32_t slot, const std::byte* row) {
  Slot& its = slots_[slot];
  --its.out;
  if (its.state == Slot::State::kDone) return;
  if (!AllFinite(row, options_.row_elements, options_.wire_dtype)) {
    return LoseRow(slot, absl::InternalError(absl::StrCat(
                             "expert worker ", peer.member.name, " gave for layer ", layer_.layer,
                             " expert ", layer_.experts[slot], " what is no number")));
  }
  std::memcpy(layer_.slots + slot * options_.row_bytes, row, options_.row_bytes);
  its.state = Slot::State::kDone;
  --missing_;
}

// A call for it has ended without it. Whether nobody is asked for it any more.
bool Dispatcher::NoLongerAsks(uint32_t slot) {
  Slot& its = slots_[slot];
  --its.out;
  return its.out == 0 && its.state == Slot::State::kOut;
}

void Dispatcher::OnNotHere(Peer& peer, const Message& message) {
  auto found = AnsweredCall(peer, message.header);
  if (found == calls_.end()) return;
  const int32_t layer = found->second.layer;
  LogInfo(peer.member.name, " does not hold ", message.numbers.size(), " experts of layer ", layer,
          " in epoch ", ToString(message.header.epoch));
  peers_.NotHere(peer, layer, message.numbers, message.header.epoch);
  if (!found->second.over) {
    for (uint32_t slot : found->second.slots) {
      if (NoLongerAsks(slot)) Pend(slot);
    }
    fresh_ = true;
  }
  Answered(peer, found);
}

void Dispatcher::Answered(Peer& peer, std::map<uint64_t, Call>::iterator call) {
  const Call& its = call->second;
  peer.liveness->OnCallAnswered(call->first);
  --peer.calls;
  if (its.late) --peer.late;
  EndCall(call);
}

// ---- what is pending

void Dispatcher::Pend(uint32_t slot) {
  slots_[slot].state = Slot::State::kPending;
  pending_.push_back(slot);
}

void Dispatcher::Zero(uint32_t slot) {
  std::memset(layer_.slots + slot * options_.row_bytes, 0, options_.row_bytes);
  slots_[slot].state = Slot::State::kDone;
  --missing_;
}

void Dispatcher::LoseRow(uint32_t slot, const absl::Status& why) {
  Zero(slot);
  lost_(RowOf(slot), why);
}

// A channel is gone; `peer` is whom it led to.
void Dispatcher::OnGone(const Peer& peer, ChannelId channel, ExpertPeers::End end) {
  for (auto it = calls_.begin(); it != calls_.end();) {
    if (it->second.channel != channel) {
      ++it;
      continue;
    }
    const bool alone = alone_.contains(it->first);
    for (uint32_t slot : it->second.over ? absl::Span<const uint32_t>() : it->second.slots) {
      if (NoLongerAsks(slot)) Pend(slot);
      if (slots_[slot].state == Slot::State::kDone) continue;
      if (end == ExpertPeers::End::kBroke) Suspect(slot, peer);
      if (!alone || slots_[slot].broke < kCrashBudget) continue;
      LoseRow(slot, absl::InternalError(absl::StrCat(
                        "layer ", layer_.layer, " expert ", layer_.experts[slot], ": ",
                        kCrashBudget, " expert workers broke while they had this row, the last ",
                        peer.member.name, " with no other: ", peer.last_fault)));
    }
    it = EndCall(it);
    fresh_ = true;
  }
}

void Dispatcher::Suspect(uint32_t slot, const Peer& peer) {
  Slot& suspect = slots_[slot];
  if (suspect.broke > 0 && suspect.broke_on == peer.member.incarnation) return;
  suspect.broke_on = peer.member.incarnation;
  ++suspect.broke;
}

void Dispatcher::SendPending(Time now) {
  fresh_ = starved_ = false;
  give_up_at_ = kNever;
  routing_.swap(pending_);
  pending_.clear();
  bool uncovered = false;
  for (uint32_t slot : routing_) {
    Slot& its = slots_[slot];
    if (its.state != Slot::State::kPending) continue;
    if (its.pending_since == kNever) its.pending_since = now;
    if (layer_.skip[RowOf(slot)] != 0) {
      Zero(slot);
    } else if (now >= its.pending_since + options_.coverage_wait) {
      GiveUp(slot);
    } else if (suspect(slot) || !Reachable(slot)) {
      pending_.push_back(slot);
      uncovered |= !Reachable(slot);
      give_up_at_ = std::min(give_up_at_, its.pending_since + options_.coverage_wait);
    } else {
      Route(slot);
    }
  }
  routing_.clear();
  SendRouted(Why::kAgain, now);
  SendSuspects(now);
  if (uncovered && suspended_since_ == kNever) {
    LogWarning("layer ", layer_.layer, " waits: ", UnreachableText());
  }
  suspended_since_ = uncovered ? std::min(suspended_since_, now) : kNever;
}

bool Dispatcher::AsksAlone(ChannelId channel) const {
  return std::any_of(alone_.begin(), alone_.end(),
                     [&](uint64_t call) { return calls_.at(call).channel == channel; });
}

// Asks for suspects one by one, of each worker for one at a time.
void Dispatcher::SendSuspects(Time now) {
  for (size_t i = 0; i < pending_.size(); ++i) {
    const uint32_t slot = pending_[i];
    if (slots_[slot].state != Slot::State::kPending || !suspect(slot)) continue;
    const int32_t member = Choose(slot);
    if (member < 0 || AsksAlone(peers_.At(member)->channel->id())) continue;
    Route(slot);
    alone_.insert(next_sequence_);
    if (SendCall(*peers_.At(member), building_[member], now)) continue;  // and no longer pending
    alone_.erase(next_sequence_ - 1);
    Unroute(building_[member]);
  }
  std::erase_if(pending_,
                [&](uint32_t slot) { return slots_[slot].state != Slot::State::kPending; });
}

// Nobody came to answer for it.
void Dispatcher::GiveUp(uint32_t slot) {
  LoseRow(slot, TryAgainAnywhere(absl::StrCat(
                    "layer ", layer_.layer, " expert ", layer_.experts[slot],
                    Reachable(slot) ? " was not answered in time; " : " has no reachable worker; ",
                    UnreachableText())));
}

// ---- time

void Dispatcher::Tick(Time now) {
  peers_.Tick(now);
  SendPending(now);
  if (now >= hedge_at_) Hedge(now);
}

Time Dispatcher::NextWakeup() const {
  if (fresh_) return Time{};
  Time wake = peers_.NextWakeup();
  if (starved_) wake = std::min(wake, budget_.NextToken());
  return std::min({wake, give_up_at_, missing_ > 0 ? hedge_at_ : kNever});
}

}  // namespace expertmesh
