#include "attention_worker/core/experts/dispatcher.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(100);
constexpr Duration kLongestBackoff = std::chrono::seconds(1);
constexpr Duration kOpenTimeout = std::chrono::seconds(3);

}  // namespace

Dispatcher::Dispatcher(DispatcherOptions options, Transport* transport, NodeHost* host, Lost lost)
    : options_(options), transport_(transport), host_(host), lost_(std::move(lost)) {}

// ---- who is there

void Dispatcher::AdoptTopology(std::shared_ptr<const Topology> topology, Time now) {
  topology_ = std::move(topology);
  replicas_ = ReplicaTable(*topology_);
  for (auto& [name, peer] : peers_) peer.listed = false;
  for (const Member& member : topology_->members) {
    if (member.role != WorkerRole::kExpert || member.state != WorkerState::kReady) continue;
    Peer& peer = peers_[member.name];
    if (peer.member.incarnation != member.incarnation) {
      if (peer.channel != nullptr)
        Drop(peer, absl::UnavailableError("replaced by a newer life"), now);
      peer.backoff = kFirstBackoff;
      peer.retry_at = now;
    }
    peer.member = member;
    peer.listed = true;
    if (peer.channel == nullptr && now >= peer.retry_at) Connect(peer, now);
  }
  by_member_.assign(topology_->members.size(), nullptr);
  for (size_t i = 0; i < by_member_.size(); ++i) {
    const Member& member = topology_->members[i];
    auto peer = peers_.find(member.name);
    if (peer != peers_.end() && peer->second.member.incarnation == member.incarnation) {
      by_member_[i] = &peer->second;
    }
  }
  RefreshReachable();
}

void Dispatcher::Connect(Peer& peer, Time now) {
  const Member& m = peer.member;
  peer.open = false;
  peer.open_by = now + kOpenTimeout;
  peer.liveness = std::make_unique<Liveness>(options_.liveness);
  peer.channel = transport_->Open(m.address, {m.name, m.role, m.incarnation, m.compute_class});
}

void Dispatcher::RefreshReachable() {
  if (topology_ == nullptr) return;
  unreachable_ = ExpertSet::Full(topology_->model.grid);
  for (const auto& [name, peer] : peers_) {
    if (peer.open && peer.listed && peer.member.holds.grid() == unreachable_.grid()) {
      unreachable_.RemoveAll(peer.member.holds);
    }
  }
}

std::string Dispatcher::UnreachableText() const {
  if (topology_ == nullptr) return "no topology yet";
  std::vector<std::string> faults;
  for (const auto& [name, peer] : peers_) {
    if (!peer.open && !peer.last_fault.empty()) {
      faults.push_back(absl::StrCat(name, ": ", peer.last_fault));
    }
  }
  return absl::StrCat("uncovered: ", unreachable_.ToText(),
                      faults.empty() ? "" : absl::StrCat(" (", absl::StrJoin(faults, "; "), ")"));
}

Dispatcher::Peer* Dispatcher::FindPeer(ChannelId channel) {
  for (auto& [name, peer] : peers_) {
    if (peer.channel != nullptr && peer.channel->id() == channel) return &peer;
  }
  return nullptr;
}

void Dispatcher::OnOpened(std::shared_ptr<Channel> channel, const Hello& hello, Time now) {
  Peer* peer = FindPeer(channel->id());
  if (peer == nullptr) {
    channel->Close(absl::CancelledError("no longer wanted"));
    return;
  }
  LogInfo("channel to ", hello.name, " ", ToString(hello.incarnation), " is open");
  peer->open = true;
  peer->backoff = kFirstBackoff;
  peer->last_fault.clear();
  RefreshReachable();
}

void Dispatcher::OnClosed(ChannelId channel, const absl::Status& why, Time now) {
  if (Peer* peer = FindPeer(channel); peer != nullptr) Drop(*peer, why, now);
}

void Dispatcher::Drop(Peer& peer, const absl::Status& why, Time now) {
  const ChannelId channel = peer.channel->id();
  peer.channel->Close(why);
  peer.channel = nullptr;
  peer.open = false;
  peer.calls = 0;
  peer.last_fault = std::string(why.message());
  peer.retry_at = now + peer.backoff;
  peer.backoff = std::min(peer.backoff * 2, kLongestBackoff);
  RefreshReachable();
  LogWarning("channel to ", peer.member.name, " ", ToString(peer.member.incarnation),
             " is closed: ", why.message(), "; ", UnreachableText());
  const absl::Status lost = TryAgainLater(absl::StrCat("expert worker ", peer.member.name, " ",
                                                       ToString(peer.member.incarnation),
                                                       " is lost; ", UnreachableText()));
  for (auto it = calls_.begin(); it != calls_.end();) {
    if (it->second.channel != channel) {
      ++it;
      continue;
    }
    for (uint32_t slot : it->second.slots) LoseSlot(slot, lost);
    it = EndCall(it);
  }
}

void Dispatcher::LoseSlot(uint32_t slot, const absl::Status& why) {
  std::memset(layer_.slots + slot * options_.row_bytes, 0, options_.row_bytes);
  --missing_;
  lost_(static_cast<int32_t>(slot / options_.top_k), why);
}

// ---- rows out

Dispatcher::Peer* Dispatcher::OpenReplica(int32_t layer, int32_t expert, int32_t* member) {
  for (int32_t candidate : replicas_.Of(layer, expert)) {
    Peer* peer = by_member_[candidate];
    if (peer != nullptr && peer->open) {
      *member = candidate;
      return peer;
    }
  }
  return nullptr;
}

void Dispatcher::Dispatch(const LayerRows& rows, Time now) {
  CHECK(!busy(), "one layer at a time");
  layer_ = rows;
  missing_ = int64_t{rows.rows} * options_.top_k;
  if (building_.size() < by_member_.size()) building_.resize(by_member_.size());
  for (int32_t row = 0; row < rows.rows; ++row) {
    for (int32_t k = 0; k < options_.top_k; ++k) {
      const uint32_t slot = static_cast<uint32_t>(row * options_.top_k + k);
      const int32_t expert = rows.experts[slot];
      int32_t member = -1;
      if (rows.skip[row] != 0) {
        std::memset(rows.slots + slot * options_.row_bytes, 0, options_.row_bytes);
        --missing_;
      } else if (OpenReplica(rows.layer, expert, &member) == nullptr) {
        LoseSlot(slot,
                 TryAgainLater(absl::StrCat("layer ", rows.layer, " expert ", expert,
                                            " has no reachable worker; ", UnreachableText())));
      } else {
        Call& call = building_[member];
        if (call.rows.empty() || call.rows.back() != static_cast<uint32_t>(row)) {
          call.rows.push_back(row);
        }
        call.assignments.push_back(
            {static_cast<uint32_t>(call.rows.size() - 1), static_cast<uint32_t>(expert)});
        call.slots.push_back(slot);
      }
    }
  }
  for (size_t member = 0; member < by_member_.size(); ++member) {
    if (!building_[member].rows.empty()) SendCall(*by_member_[member], building_[member], now);
  }
}

void Dispatcher::SendCall(Peer& peer, Call& built, Time now) {
  const uint64_t sequence = next_sequence_++;
  Call& call = NewCall(sequence);
  std::swap(call, built);  // the builder gets an ended call's memory
  if (!peer.open) {        // lost while this layer was being sent
    const absl::Status why = TryAgainLater(
        absl::StrCat("expert worker ", peer.member.name, " is lost; ", UnreachableText()));
    for (uint32_t slot : call.slots) LoseSlot(slot, why);
    EndCall(calls_.find(sequence));
    return;
  }
  call.channel = peer.channel->id();
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.lane = layer_.lane;
  header.dtype = options_.wire_dtype;
  header.call = {mine_, sequence};
  header.epoch = topology_->epoch;
  header.layer = static_cast<uint32_t>(layer_.layer);
  header.rows = static_cast<uint32_t>(call.rows.size());
  header.row_elements = options_.row_elements;
  Body body;
  body.assignments = call.assignments;
  body.rows = {layer_.hidden, options_.row_bytes, options_.row_bytes, call.rows.size(), call.rows};
  ++unsent_;
  const absl::Status sent = peer.channel->Send(header, body, Event(), host_->SentToken(sequence));
  if (!sent.ok()) {
    --unsent_;
    Drop(peer, sent, now);
    return;
  }
  ++peer.calls;
  peer.liveness->OnCallSent(sequence, now);
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
  auto next = std::next(call);
  spare_.push_back(calls_.extract(call));
  return next;
}

void Dispatcher::OnSent(Time now) { --unsent_; }

// ---- rows in

void Dispatcher::OnMessage(ChannelId channel, const Message& message, Time now) {
  Peer* peer = FindPeer(channel);
  if (peer == nullptr) return;
  peer->liveness->OnFrame(now);
  switch (message.header.kind) {
    case MessageKind::kCombine:
      return OnCombine(*peer, message);
    case MessageKind::kPong:
      if (message.header.call.sender == mine_) {
        peer->liveness->OnPong(message.header.ping, message.calls);
      }
      return;
    case MessageKind::kDispatch:
    case MessageKind::kPing:
      break;
  }
  Drop(*peer, absl::InvalidArgumentError("an attention worker sends dispatches and pings"), now);
}

void Dispatcher::OnCombine(Peer& peer, const Message& message) {
  const MessageHeader& header = message.header;
#ifndef EXPERTMESH_MUTANT_COMBINE_WITHOUT_SENDER
  if (header.call.sender != mine_) return;  // of an earlier life of ours
#endif
  auto found = calls_.find(header.call.sequence);
  if (found == calls_.end()) return;                        // answered before, or given up
  if (peer.channel->id() != found->second.channel) return;  // not whom it was sent to
  Call& call = found->second;
  if (header.rows != call.slots.size() || header.row_elements != options_.row_elements ||
      header.dtype != options_.wire_dtype) {
    LogWarning("combine ", ToString(header.call), " from ", peer.member.name, " has ", header.rows,
               " rows of ", header.row_elements, "; ", call.slots.size(), " of ",
               options_.row_elements, " expected: dropped");
    return;
  }
  const std::byte* rows = message.rows.bytes().data();
  for (size_t i = 0; i < call.slots.size(); ++i) {
    std::memcpy(layer_.slots + call.slots[i] * options_.row_bytes, rows + i * options_.row_bytes,
                options_.row_bytes);
  }
  missing_ -= static_cast<int64_t>(call.slots.size());
  for (auto& [name, owner] : peers_) {
    if (owner.channel != nullptr && owner.channel->id() == call.channel) {
      owner.liveness->OnCallAnswered(header.call.sequence);
      --owner.calls;
    }
  }
  EndCall(found);
}

// ---- time

void Dispatcher::Tick(Time now) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    Peer& peer = it->second;
    if (!peer.listed && peer.calls == 0) {  // nothing more to ask of it
      if (peer.channel != nullptr) peer.channel->Close(absl::CancelledError("not in the topology"));
      std::replace(by_member_.begin(), by_member_.end(), &peer, static_cast<Peer*>(nullptr));
      it = peers_.erase(it);
      continue;
    }
    if (peer.channel == nullptr) {
      if (now >= peer.retry_at) Connect(peer, now);
    } else if (!peer.open) {
      if (now >= peer.open_by) Drop(peer, absl::UnavailableError("no handshake in time"), now);
    } else {
      switch (peer.liveness->Check(now)) {
        case Liveness::Verdict::kFine:
          break;
        case Liveness::Verdict::kLost:
          Drop(peer, absl::UnavailableError(peer.liveness->why()), now);
          break;
        case Liveness::Verdict::kPing: {
          MessageHeader ping;
          ping.kind = MessageKind::kPing;
          ping.ping = peer.liveness->last_ping();
          ping.call.sender = mine_;
          const absl::Status sent = peer.channel->Send(ping, Body(), Event(), nullptr);
          if (absl::IsUnavailable(sent)) Drop(peer, sent, now);
          break;
        }
      }
    }
    ++it;
  }
}

Time Dispatcher::NextWakeup() const {
  Time wake = kNever;
  for (const auto& [name, peer] : peers_) {
    if (peer.channel == nullptr) {
      wake = std::min(wake, peer.retry_at);
    } else {
      wake = std::min(wake, peer.open ? peer.liveness->NextWakeup() : peer.open_by);
    }
  }
  return wake;
}

}  // namespace expertmesh
