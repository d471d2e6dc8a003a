// expert_peers.h: the expert workers of the topology: dialled, watched, and dialled again.
//
// One channel to each expert worker that serves. What closes a channel, or makes us close it, ends
// the calls that were on it, and the owner is told; the peer is dialled again with longer and
// longer waits. A worker that leaves the topology keeps its channel until its calls are answered.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/liveness.h"
#include "cluster/topology.h"
#include "transport/worker_loop.h"

namespace expertmesh {

// Threads: one.
class ExpertPeers {
 public:
  struct Peer {
    Member member;
    std::shared_ptr<Channel> channel;  // null: none is open or opening
    bool open = false;
    bool listed = true;     // it serves, says the topology
    Time open_by = kNever;  // an open that takes longer has failed
    Time retry_at{};
    Duration backoff{};
    std::string last_fault;
    bool silent = false;  // nothing was heard of it, since its channel was last open
    std::unique_ptr<Liveness> liveness;
    uint32_t calls = 0;  // that are out on its channel; the owner counts them
    uint32_t late = 0;   // of them, those that take long; the owner counts them, too
    // What it has said that it does not hold, whatever the topology says, in which epoch.
    ExpertSet absent;
    Epoch absent_since;
  };
  // How a channel ended.
  enum class End {
    kBroke,   // by itself: the worker may have died of what it had in hand
    kSilent,  // nothing was heard of the worker
    kOurs,    // we had another reason
  };
  // `peer.member` is whom the channel led to. May be called from inside any method that changes
  // something.
  using OnGone = std::function<void(const Peer& peer, ChannelId channel, End end)>;

  ExpertPeers(LivenessOptions liveness, Transport* transport, OnGone on_gone);

  void SetIncarnation(Incarnation mine) { mine_ = mine; }
  void Adopt(const Topology& topology, Time now);
  void OnOpened(Channel& channel, const Hello& hello);
  void OnClosed(ChannelId channel, const absl::Status& why, Time now);
  // Closes its channel and counts its calls as ended.
  void Drop(Peer& peer, const absl::Status& why, End end, Time now);
  // `peer`, which works by `epoch`, does not hold these experts of `layer`. An epoch before ours
  // says nothing: it may have got them since.
  void NotHere(Peer& peer, int32_t layer, absl::Span<const uint64_t> experts, Epoch epoch);
  void Tick(Time now);
  Time NextWakeup() const;

  Peer* Find(ChannelId channel);
  // The peer that topology member `index` is; null: none by now.
  Peer* At(int32_t index) const { return by_member_[index]; }
  size_t members() const { return by_member_.size(); }
  // Whether a call for (layer, expert) may be sent to it.
  static bool Reaches(const Peer& peer, int32_t layer, int32_t expert);

  // Experts that no open channel leads to; the grid of the topology.
  const ExpertSet& unreachable() const { return unreachable_; }
  // Of those that the topology lists, whose silence cost them their channel; into `lives`.
  void Silent(std::vector<Incarnation>& lives) const;
  // Those, and why, for an UNAVAILABLE.
  std::string UnreachableText() const;

 private:
  void Connect(Peer& peer, Time now);
  void Refresh();
  void CheckLife(Peer& peer, Time now);

  LivenessOptions liveness_;
  Transport* transport_;
  OnGone on_gone_;
  Incarnation mine_;
  bool adopted_ = false;
  Epoch epoch_;                        // of the topology
  std::map<std::string, Peer> peers_;  // by name; the newest incarnation listed
  std::vector<Peer*> by_member_;       // topology member -> peer, or null
  ExpertSet unreachable_;
};

}  // namespace expertmesh
