// dispatcher.h: rows to expert workers and back: who holds what, which calls are out, who is lost.
//
// One layer of one step at a time. Dispatch cuts its rows into one call per expert worker; combines
// land in the slot of their (row, k). A row whose expert has no reachable replica, or whose call's
// channel closes, is reported through Lost and its slot is zeroed: the step goes on, and only the
// row's sequence fails.
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

struct DispatcherOptions {
  LivenessOptions liveness;
  size_t row_bytes = 0;  // of one row on the wire
  uint32_t row_elements = 0;
  int32_t top_k = 0;
  DType wire_dtype = DType::kF32;
};

// The rows of one layer. The memory stays until the layer is done.
struct LayerRows {
  int32_t layer = 0;
  Lane lane = Lane::kDecode;
  int32_t rows = 0;
  absl::Span<const int32_t> experts;  // [rows, top_k]
  const std::byte* hidden = nullptr;  // [rows, row_elements]
  std::byte* slots = nullptr;         // [rows * top_k, row_elements]
  absl::Span<const uint8_t> skip;     // [rows]: 1 for rows nobody waits for: their slots are zeroed
};

// Threads: one.
class Dispatcher {
 public:
  // Called from inside Dispatch, Tick and the On... methods; a row may be named more than once.
  using Lost = std::function<void(int32_t row, const absl::Status& why)>;

  Dispatcher(DispatcherOptions options, Transport* transport, NodeHost* host, Lost lost);

  void SetIncarnation(Incarnation mine) { mine_ = mine; }
  void AdoptTopology(std::shared_ptr<const Topology> topology, Time now);

  // Sends the rows of one layer. Not to be called while busy().
  void Dispatch(const LayerRows& rows, Time now);
  // The layer that was dispatched is not done: slots are missing, or row memory is still read.
  bool busy() const { return missing_ > 0 || unsent_ > 0; }

  void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer, Time now);
  void OnMessage(ChannelId channel, const Message& message, Time now);
  void OnClosed(ChannelId channel, const absl::Status& why, Time now);
  void OnSent(Time now);

  void Tick(Time now);
  Time NextWakeup() const;

  // Experts that no open channel leads to; the grid of the topology. Full when there is none yet.
  const ExpertSet& unreachable() const { return unreachable_; }
  bool covered() const { return topology_ != nullptr && unreachable_.empty(); }
  // What is not reachable, and why, for an UNAVAILABLE.
  std::string UnreachableText() const;
  size_t calls_out() const { return calls_.size(); }

 private:
  struct Call {
    ChannelId channel = 0;
    std::vector<uint32_t> rows;  // rows of the layer, in message order
    std::vector<Assignment> assignments;
    std::vector<uint32_t> slots;  // slot of each assignment
  };
  struct Peer {
    Member member;
    std::shared_ptr<Channel> channel;  // null: none is open or opening
    bool open = false;
    bool listed = true;     // READY in the topology
    Time open_by = kNever;  // an open that takes longer has failed
    Time retry_at{};
    Duration backoff{};
    std::string last_fault;
    std::unique_ptr<Liveness> liveness;
    uint32_t calls = 0;
  };

  void Connect(Peer& peer, Time now);
  void RefreshReachable();
  Peer* FindPeer(ChannelId channel);
  Peer* OpenReplica(int32_t layer, int32_t expert, int32_t* member);
  void SendCall(Peer& peer, Call& built, Time now);
  Call& NewCall(uint64_t sequence);
  std::map<uint64_t, Call>::iterator EndCall(std::map<uint64_t, Call>::iterator call);
  void OnCombine(Peer& peer, const Message& message);
  // The channel is gone: its calls are lost, the peer may be dialled again.
  void Drop(Peer& peer, const absl::Status& why, Time now);
  void LoseSlot(uint32_t slot, const absl::Status& why);

  DispatcherOptions options_;
  Transport* transport_;
  NodeHost* host_;
  Lost lost_;
  Incarnation mine_;
  std::shared_ptr<const Topology> topology_;
  ReplicaTable replicas_;
  std::map<std::string, Peer> peers_;  // by name; the newest incarnation listed
  std::vector<Peer*> by_member_;       // topology member -> peer, or null
  ExpertSet unreachable_;

  LayerRows layer_;
  std::vector<Call> building_;      // per member while routing; keeps its memory
  std::map<uint64_t, Call> calls_;  // by sequence
  std::vector<std::map<uint64_t, Call>::node_type> spare_;  // of ended calls, for their memory
  uint64_t next_sequence_ = 1;
  int64_t missing_ = 0;  // slots not filled
  int64_t unsent_ = 0;   // messages whose memory is still read
};

}  // namespace expertmesh
