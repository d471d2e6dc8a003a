#include "attention_worker/core/experts/expert_peers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/log.h"

namespace expertmesh {
namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(100);
constexpr Duration kLongestBackoff = std::chrono::seconds(1);
constexpr Duration kOpenTimeout = std::chrono::seconds(3);

}  // namespace

ExpertPeers::ExpertPeers(LivenessOptions liveness, Transport* transport, OnGone on_gone)
    : liveness_(liveness), transport_(transport), on_gone_(std::move(on_gone)) {}

void ExpertPeers::Adopt(const Topology& topology, Time now) {
  adopted_ = true;
  epoch_ = topology.epoch;
  unreachable_ = ExpertSet(topology.model.grid);
  for (auto& [name, peer] : peers_) peer.listed = false;
  for (const Member& member : topology.members) {
    if (member.role != WorkerRole::kExpert || !Serves(member.state)) continue;
    Peer& peer = peers_[member.name];
    if (peer.member.incarnation != member.incarnation) {
      if (peer.channel != nullptr) {
        Drop(peer, absl::UnavailableError("replaced by a newer life"), End::kBroke, now);
      }
      peer.backoff = kFirstBackoff;
      peer.retry_at = now;
      peer.absent = ExpertSet();
      peer.silent = false;
    }
    peer.member = member;
    peer.listed = true;
    if (topology.epoch > peer.absent_since) peer.absent = ExpertSet();
    if (peer.channel == nullptr && now >= peer.retry_at) Connect(peer, now);
  }
  by_member_.assign(topology.members.size(), nullptr);
  for (size_t i = 0; i < by_member_.size(); ++i) {
    const Member& member = topology.members[i];
    auto peer = peers_.find(member.name);
    if (peer != peers_.end() && peer->second.member.incarnation == member.incarnation) {
      by_member_[i] = &peer->second;
    }
  }
  Refresh();
}

void ExpertPeers::Connect(Peer& peer, Time now) {
  const Member& m = peer.member;
  peer.open = false;
  peer.open_by = now + kOpenTimeout;
  peer.liveness = std::make_unique<Liveness>(liveness_);
  peer.channel = transport_->Open(m.address, {m.name, m.role, m.incarnation, m.compute_class});
}

void ExpertPeers::Refresh() {
  if (!adopted_) return;
  const ExpertGrid grid = unreachable_.grid();
  unreachable_ = ExpertSet::Full(grid);
  for (const auto& [name, peer] : peers_) {
    if (!peer.open || !peer.listed || peer.member.holds.grid() != grid) continue;
    ExpertSet there = peer.member.holds;
    if (peer.absent.grid() == grid) there.RemoveAll(peer.absent);
    unreachable_.RemoveAll(there);
  }
}

bool ExpertPeers::Reaches(const Peer& peer, int32_t layer, int32_t expert) {
  if (!peer.open) return false;
  return peer.absent.grid().layers == 0 || !peer.absent.Contains(layer, expert);
}

std::string ExpertPeers::UnreachableText() const {
  if (!adopted_) return "no topology yet";
  std::vector<std::string> faults;
  for (const auto& [name, peer] : peers_) {
    if (!peer.open && !peer.last_fault.empty()) {
      faults.push_back(absl::StrCat(name, ": ", peer.last_fault));
    }
  }
  return absl::StrCat("uncovered: ", unreachable_.ToText(),
                      faults.empty() ? "" : absl::StrCat(" (", absl::StrJoin(faults, "; "), ")"));
}

void ExpertPeers::Silent(std::vector<Incarnation>& lives) const {
  lives.clear();
  for (const auto& [name, peer] : peers_) {
    if (peer.silent && peer.listed) lives.push_back(peer.member.incarnation);
  }
  std::sort(lives.begin(), lives.end());
}

ExpertPeers::Peer* ExpertPeers::Find(ChannelId channel) {
  for (auto& [name, peer] : peers_) {
    if (peer.channel != nullptr && peer.channel->id() == channel) return &peer;
  }
  return nullptr;
}

void ExpertPeers::OnOpened(Channel& channel, const Hello& hello) {
  Peer* peer = Find(channel.id());
  if (peer == nullptr) return channel.Close(absl::CancelledError("no longer wanted"));
  LogInfo("channel to ", hello.name, " ", ToString(hello.incarnation), " is open");
  peer->open = true;
  peer->backoff = kFirstBackoff;
  peer->silent = false;
  peer->last_fault.clear();
  Refresh();
}

void ExpertPeers::OnClosed(ChannelId channel, const absl::Status& why, Time now) {
  if (Peer* peer = Find(channel); peer != nullptr) Drop(*peer, why, End::kBroke, now);
}

void ExpertPeers::Drop(Peer& peer, const absl::Status& why, End end, Time now) {
  const ChannelId channel = peer.channel->id();
  peer.channel->Close(why);
  peer.channel = nullptr;
  peer.open = false;
  peer.calls = peer.late = 0;
  peer.silent |= end == End::kSilent;
  peer.last_fault = std::string(why.message());
  peer.retry_at = now + peer.backoff;
  peer.backoff = std::min(peer.backoff * 2, kLongestBackoff);
  Refresh();
  LogWarning("channel to ", peer.member.name, " ", ToString(peer.member.incarnation),
             " is closed: ", why.message(), "; ", UnreachableText());
  on_gone_(peer, channel, end);
}

void ExpertPeers::NotHere(Peer& peer, int32_t layer, absl::Span<const uint64_t> experts,
                          Epoch epoch) {
  if (epoch < epoch_) return;
  const ExpertGrid& grid = peer.member.holds.grid();
  if (peer.absent.grid() != grid) peer.absent = ExpertSet(grid);
  for (uint64_t expert : experts) {
    if (expert < static_cast<uint64_t>(grid.experts)) {
      peer.absent.Insert(layer, static_cast<int32_t>(expert));
    }
  }
  peer.absent_since = std::max(peer.absent_since, epoch);
  Refresh();
}

// ---- time

void ExpertPeers::Tick(Time now) {
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
    } else if (peer.open) {
      CheckLife(peer, now);
    } else if (now >= peer.open_by) {
      Drop(peer, absl::UnavailableError("no handshake in time"), End::kSilent, now);
    }
    ++it;
  }
}

void ExpertPeers::CheckLife(Peer& peer, Time now) {
  switch (peer.liveness->Check(now)) {
    case Liveness::Verdict::kFine:
      return;
    case Liveness::Verdict::kLost:
      return Drop(peer, absl::UnavailableError(peer.liveness->why()), End::kSilent, now);
    case Liveness::Verdict::kPing: {
      MessageHeader ping;
      ping.kind = MessageKind::kPing;
      ping.ping = peer.liveness->last_ping();
      ping.call.sender = mine_;
      const absl::Status sent = peer.channel->Send(ping, Body(), Event(), nullptr);
      if (absl::IsUnavailable(sent)) Drop(peer, sent, End::kBroke, now);
    }
  }
}

Time ExpertPeers::NextWakeup() const {
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
