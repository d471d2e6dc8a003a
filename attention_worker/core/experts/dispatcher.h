// dispatcher.h: rows to expert workers and back: which calls are out, and what becomes of a row
// whose worker dies.
//
// One layer of one step at a time. Dispatch cuts its rows into one call per expert worker; combines
// land in the slot of their (row, k). Of several replicas the one with the least to do in this
// layer is asked; which one it is changes no bit.
//
// A SLOT IS PENDING when nobody that can be reached holds its expert, or when its call ended
// without its row: the channel closed, or the worker said NOT_HERE. It is sent (again) as soon as a
// replica can be reached and the retry budget allows; the step waits meanwhile. Sending again is
// safe: an expert is a pure function, and a combine is taken only for the call that is out.
//
// A CALL IS LATE when it has been out for `hedge_after`, and for twice what calls of its size have
// taken of late (usual_time.h). Its slots are then asked of another replica, too, where there is
// one and the retry budget can spare it: a HEDGE, tried once. The first answer to a slot is taken,
// the other one dropped, and which it is changes no bit. Until a late call is answered its worker
// is asked only for what nobody else holds. Time alone is no fault: only liveness gives a worker
// up.
//
// A ROW IS LOST, and reported through Lost, when one of its slots
//   - was not answered for `coverage_wait` after it was first pending: ABORTED, by the experts (a
//     front door makes UNAVAILABLE of it: TryAgainAnywhere in common/status.h);
//   - broke channels of kCrashBudget lives of workers: INTERNAL. A slot that broke all but one is
//     asked alone, so that the guilty one is known;
//   - came back with a value that is no number: INTERNAL, by worker and expert.
// Its slots are zeroed, and the step goes on: only the row's sequence fails.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "attention_worker/core/experts/expert_peers.h"
#include "attention_worker/core/experts/retry_budget.h"
#include "attention_worker/core/experts/usual_time.h"
#include "cluster/topology.h"
#include "transport/worker_loop.h"

namespace expertmesh {

// Lives of workers that one slot may break.
inline constexpr int kCrashBudget = 3;

struct DispatcherOptions {
  LivenessOptions liveness;
  RetryBudgetOptions retries;
  Duration coverage_wait = std::chrono::seconds(30);
  Duration hedge_after = std::chrono::milliseconds(50);  // 0: never
  size_t row_bytes = 0;                                  // of one row on the wire
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
  // [rows]: 1 for rows nobody waits for: what is pending of them is zeroed at the next Tick. May
  // become 1 at any time.
  absl::Span<const uint8_t> skip;
};

// Threads: one.
class Dispatcher {
 public:
  // Called from inside Dispatch, Tick and the On... methods; a row may be named more than once.
  using Lost = std::function<void(int32_t row, const absl::Status& why)>;

  Dispatcher(DispatcherOptions options, Transport* transport, NodeHost* host, Lost lost);

  void SetIncarnation(Incarnation mine);
  void AdoptTopology(std::shared_ptr<const Topology> topology, Time now);

  // Sends the rows of one layer. Not to be called while busy().
  void Dispatch(const LayerRows& rows, Time now);
  // The layer that was dispatched is not done: slots are missing, or row memory is still read.
  bool busy() const { return missing_ > 0 || unsent_ > 0; }

  void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer, Time now);
  void OnMessage(ChannelId channel, const Message& message, Time now);
  void OnClosed(ChannelId channel, const absl::Status& why, Time now);
  void OnSent(Time now);

  // To be called after every event, too: what is pending is sent from here.
  void Tick(Time now);
  Time NextWakeup() const;

  // Experts that no open channel leads to; the grid of the topology. Full when there is none yet.
  const ExpertSet& unreachable() const { return peers_.unreachable(); }
  bool covered() const { return topology_ != nullptr && unreachable().empty(); }
  // What is not reachable, and why, for an UNAVAILABLE.
  std::string UnreachableText() const { return peers_.UnreachableText(); }
  void Silent(std::vector<Incarnation>& lives) const { peers_.Silent(lives); }
  // The step waits, since then, for experts that nobody holds; kNever: it does not.
  Time suspended_since() const { return suspended_since_; }
  size_t calls_out() const { return calls_.size(); }
  // Since the start: calls for slots that were not asked before, that were asked before in vain,
  // and that somebody else is asked for at the same time.
  uint64_t first_calls() const { return first_calls_; }
  uint64_t retries() const { return retries_; }
  uint64_t hedges() const { return hedges_; }
  const RetryBudgetOptions& budget() const { return options_.retries; }

 private:
  using Peer = ExpertPeers::Peer;
  struct Call {
    ChannelId channel = 0;
    int32_t layer = 0;
    std::vector<uint32_t> rows;  // rows of the layer, in message order
    std::vector<Assignment> assignments;
    std::vector<uint32_t> slots;  // slot of each assignment
    Time sent{};
    Time late_at = kNever;  // when to look whether it is hedged; kNever: it was, or is not to be
    bool late = false;      // counted in its peer's `late`
    bool over = false;      // of a layer that is done: its slots say nothing any more
  };
  struct Slot {
    enum class State : uint8_t { kOut, kPending, kDone } state = State::kDone;
    uint8_t out = 0;              // calls that ask for it: one, or two when it is hedged
    uint8_t broke = 0;            // lives of workers, while it was with them
    Incarnation broke_on;         // the last of them
    Time pending_since = kNever;  // for the first time
  };

  // Why a call is sent.
  enum class Why { kFirst, kAgain, kHedge };

  int32_t Choose(uint32_t slot, const Peer* than = nullptr) const;
  bool Reachable(uint32_t slot) const { return Choose(slot) >= 0; }
  bool Route(uint32_t slot, const Peer* than = nullptr);
  bool MaySend(Why why, Time now);
  void Count(Why why);
  void SendRouted(Why why, Time now);
  void Hedge(Time now);
  void HedgeCall(Call& call);
  Time LateAt(const Call& call, Time now) const;
  void LeaveBehind();
  void Unroute(Call& built);
  bool SendCall(Peer& peer, Call& built, Time now);
  Call& NewCall(uint64_t sequence);
  std::map<uint64_t, Call>::iterator EndCall(std::map<uint64_t, Call>::iterator call);
  void OnCombine(Peer& peer, const Message& message, Time now);
  void OnNotHere(Peer& peer, const Message& message);
  void NoteTime(const Call& call, Time now);
  void TakeRow(const Peer& peer, uint32_t slot, const std::byte* row);
  bool NoLongerAsks(uint32_t slot);
  // The call of this combine or NOT_HERE, if it is one that is out on the peer's channel.
  std::map<uint64_t, Call>::iterator AnsweredCall(const Peer& peer, const MessageHeader& header);
  void Answered(Peer& peer, std::map<uint64_t, Call>::iterator call);
  void OnGone(const Peer& peer, ChannelId channel, ExpertPeers::End end);
  void Suspect(uint32_t slot, const Peer& peer);
  void SendPending(Time now);
  void SendSuspects(Time now);
  void GiveUp(uint32_t slot);
  bool AsksAlone(ChannelId channel) const;
  void Pend(uint32_t slot);
  void Zero(uint32_t slot);
  void LoseRow(uint32_t slot, const absl::Status& why);
  int32_t RowOf(uint32_t slot) const { return static_cast<int32_t>(slot) / options_.top_k; }
  bool suspect(uint32_t slot) const { return slots_[slot].broke + 1 >= kCrashBudget; }

  DispatcherOptions options_;
  NodeHost* host_;
  Lost lost_;
  Incarnation mine_;
  std::shared_ptr<const Topology> topology_;
  ReplicaTable replicas_;
  ExpertPeers peers_;
  RetryBudget budget_;
  UsualTime usual_;

  LayerRows layer_;
  std::vector<Slot> slots_;         // [rows * top_k]
  std::vector<uint32_t> pending_;   // slots; those that are no longer pending are passed over
  std::vector<Call> building_;      // per member while routing; keeps its memory
  std::map<uint64_t, Call> calls_;  // by sequence
  // Of ended calls, for their memory: those of earlier layers, and those of this one, whose lists
  // the transport may still read.
  std::vector<std::map<uint64_t, Call>::node_type> spare_, ended_;
  std::vector<uint32_t> routing_;  // scratch of SendPending
  uint64_t next_sequence_ = 1;
  std::set<uint64_t> alone_;  // calls of one suspect each, one per channel
  int64_t missing_ = 0;       // slots not done
  int64_t unsent_ = 0;        // messages whose memory is still read
  bool fresh_ = false;        // something is pending that Tick has not looked at
  bool starved_ = false;      // what could be sent again has to wait for the budget
  Time hedge_at_ = kNever;    // when the first of the calls may be late
  Time suspended_since_ = kNever;
  Time give_up_at_ = kNever;  // when the first of the pending slots has waited long enough
  uint64_t first_calls_ = 0;
  uint64_t retries_ = 0;
  uint64_t hedges_ = 0;
};

}  // namespace expertmesh
