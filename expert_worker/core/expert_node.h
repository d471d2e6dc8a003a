// expert_node.h: the protocol of an expert worker: membership, load, dispatches in, combines out.
//
// It answers any row for an expert that it holds, whatever epoch is stamped on it: the epoch orders
// topologies, not arithmetic. A dispatch that asks for others is answered NOT_HERE as a whole. What
// control no longer wants here is neither answered nor reported from then on, and unloaded when the
// calls in hand that need it are done; nothing is loaded before that. A dispatch that comes twice
// while it is in hand is computed once; after its combine has left it is computed again, and the
// sender drops what it does not wait for.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cluster/control_link.h"
#include "cluster/worker_session.h"
#include "expert_worker/core/expert_compute.h"
#include "expert_worker/core/pass_queue.h"
#include "transport/worker_loop.h"

namespace expertmesh {

struct ExpertNodeOptions {
  Report identity;  // name, role, address, memory, threads, class, model
  DType wire_dtype = DType::kF32;
  size_t max_pass_rows = 512;
};

// What one channel may have in hand at once; who sends more loses the channel. An attention worker
// has one call per step and expert worker. Bytes are those of dispatched rows and of the combine's;
// a single call, which a frame bounds, is always taken.
inline constexpr size_t kMaxCallsPerPeer = kMaxNumbersPerMessage;
inline constexpr size_t kMaxBytesPerPeer = 2 * kMaxFrameBytes;
// Of the memory of ended calls that is kept for the next ones.
inline constexpr size_t kMaxSpareBytes = size_t{64} << 20;

class ExpertNode final : public WorkerNode, private WorkerSessionHost {
 public:
  // All pointers outlive the node.
  ExpertNode(ExpertNodeOptions options, ExpertCompute* compute, ControlLink* control,
             ControlLinkListener* listener, Transport* transport, NodeHost* host);
  ~ExpertNode() override;

  // Asks control to be relieved of everything; it goes on answering until it is, and then exits
  // with OK. Control may ask for the same. Idempotent.
  void Drain(Time now);

  void Start(Time now) override;
  void OnLinkUp(Time now) override;
  void OnCommand(const Command& command, Time now) override;
  void OnLinkDown(const absl::Status& why, Time now) override;
  void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer, Time now) override;
  void OnMessage(ChannelId channel, Message message, Time now) override;
  void OnClosed(ChannelId channel, const absl::Status& why, Time now) override;
  void OnSent(uint64_t token, Time now) override;
  void OnComputed(uint64_t token, Time now) override;
  void Tick(Time now) override;
  Time NextWakeup() const override;

  // For invariants and tests.
  size_t calls_in_hand() const { return calls_.size(); }
  const ExpertSet& holds() const { return holds_; }

 private:
  struct Peer {
    std::shared_ptr<Channel> channel;
    Incarnation incarnation;
    std::string name;
  };
  // One call that this worker has: waiting, in a pass, or with its combine on the way out.
  struct Held {
    ExpertCall call;
    bool answered = false;   // combine given to the channel
    bool abandoned = false;  // its channel closed; goes away when nothing reads it any more
    bool in_pass = false;
  };
  using CallMap = std::map<uint64_t, Held>;

  void Connect() override;
  void SendReport(const Report& report) override;
  void Assign(const ExpertSet& experts) override;
  void AdoptTopology(std::shared_ptr<const Topology> topology) override;
  void AdoptIncarnation(Incarnation incarnation) override;
  void LeaseChanged(bool held) override;
  void DrainWanted(bool wanted) override { drain_wanted_ = wanted; }
  void Released() override;
  void LeftAlone() override;
  void Fenced(const std::string& why) override;

  void StartLoad();
  void OnLoaded(Time now);
  void Unload();
  bool Needed(const ExpertSet& experts) const;
  bool Serves(uint32_t layer, uint32_t expert) const;
  void TellState(Time now);
  void UpdateProgress();
  void UpdateRows();
  absl::Status CheckDispatch(const Message& message) const;
  absl::Status CheckShare(ChannelId id, const Message& message, bool* repeated) const;
  void OnDispatch(ChannelId id, Peer& peer, Message message);
  void AnswerNotHere(Peer& peer, const Message& message);
  void OnPing(ChannelId id, Peer& peer, const MessageHeader& ping);
  Held& NewCall(uint64_t token);
  CallMap::iterator EndCall(CallMap::iterator call);
  void StartPass();
  void OnPassDone();
  void Answer(uint64_t token, Held& held);

  static constexpr uint64_t kLoadToken = 1;
  static constexpr uint64_t kPassToken = 2;
  static constexpr uint64_t kFirstCallToken = 16;

  ExpertNodeOptions options_;
  ExpertCompute* compute_;
  ControlLink* control_;
  ControlLinkListener* listener_;
  Transport* transport_;
  NodeHost* host_;
  WorkerSession session_;
  std::map<ChannelId, Peer> peers_;
  CallMap calls_;                          // by token
  std::vector<CallMap::node_type> spare_;  // of ended calls, for their memory
  size_t spare_bytes_ = 0;                 // of their outputs
  uint64_t next_token_ = kFirstCallToken;
  PassQueue queue_;
  std::vector<PassPiece> pass_;
  std::vector<PassRow> pass_rows_;
  bool pass_running_ = false;
  ExpertSet wanted_;
  ExpertSet loading_;
  ExpertSet holds_;
  ExpertSet leaving_;  // of them, those that are to be unloaded
  Epoch epoch_;
  std::vector<uint64_t> rows_run_;  // [grid.size()] of each expert, in this life
  Time next_rows_{};                // when control is told of them
  bool load_running_ = false;
  Time retry_load_ = kNever;  // after one that failed
  Duration load_backoff_{};
  bool draining_ = false;      // by its own wish
  bool drain_wanted_ = false;  // by an operator's
  bool released_ = false;
};

}  // namespace expertmesh
