// attention_node.h: the protocol of an attention worker: membership, sequences, steps, dispatch.
//
// Events note what happened and end the requests that it ended; Tick, which follows every batch of
// them, goes on with the step, ends what is due, admits what waits, and starts the next step.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "attention_worker/core/batch.h"
#include "attention_worker/core/experts/dispatcher.h"
#include "attention_worker/core/experts/expert_classes.h"
#include "attention_worker/core/kept_answers.h"
#include "attention_worker/core/layer_compute.h"
#include "attention_worker/core/step.h"
#include "cluster/control_link.h"
#include "cluster/worker_session.h"
#include "generation/request_port.h"
#include "transport/worker_loop.h"

namespace expertmesh {

// What a token adds to the text: its bytes; none for a special token unless those are shown. Stays
// as long as the worker lives.
using TokenBytes = std::function<absl::string_view(int32_t id, bool special_tokens)>;

struct AttentionNodeOptions {
  Report identity;  // name, role, address, memory, threads, class, model, limits
  RequestLimits limits;
  TokenBytes token_bytes;  // set if limits.text
  BatchOptions batch;
  int32_t max_waiting = 1024;  // beyond the max_sequences that may run
  DType wire_dtype = DType::kF32;
  LivenessOptions liveness;
  RetryBudgetOptions retries;
  // How long a request may wait for an expert that no worker holds, be it admitted or in the midst
  // of a step, or for a lease.
  Duration coverage_wait = std::chrono::seconds(30);
  Duration hedge_after = std::chrono::milliseconds(50);  // experts/dispatcher.h; 0: never
  KeptAnswersOptions kept;
};

class AttentionNode final : public WorkerNode, private WorkerSessionHost, private SequenceHost {
 public:
  // All pointers outlive the node.
  AttentionNode(AttentionNodeOptions options, LayerCompute* compute, ControlLink* control,
                ControlLinkListener* listener, Transport* transport, NodeHost* host);
  ~AttentionNode() override;

  // Requests, as of RequestPort. OnDelta comes from inside Tick, of an answer that was kept also
  // from inside Submit; OnEnd also from inside these calls and the events. A request that fails or
  // is cancelled ends at once; if it runs, its blocks and its place are free when the step that
  // names it is over.
  void Submit(RequestId id, GenerateRequest request, GenerationListener* listener, Time now);
  void Cancel(RequestId id);
  void Detach(RequestId id, Time now);
  void Forget(const AnswerKey& key);
  // Takes nothing new from now on, and exits with OK when what it has is done and control says so.
  // Control may ask for the same. Idempotent.
  void Drain(Time now);
  // Ends every request with `why`, and refuses what comes: this life of the worker is over.
  void EndAll(const absl::Status& why);

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
  int32_t used_blocks() const { return batch_.used_blocks(); }
  int64_t preemptions() const { return batch_.preemptions(); }
  int32_t most_preemptions() const { return batch_.most_preemptions(); }
  absl::Status CheckCache() const { return ended_ ? absl::OkStatus() : batch_.Check(); }
  const KeptAnswers& kept() const { return kept_; }
  size_t calls_out() const { return dispatcher_.calls_out(); }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  bool serving() const { return ready_ && !ended_ && MayAdmit(); }
  size_t sequences() const {
    return ended_ ? 0 : batch_.running().size() + batch_.waiting().size();
  }

 private:
  void Connect() override;
  void SendReport(const Report& report) override;
  void Assign(const ExpertSet& experts) override {}
  void AdoptTopology(std::shared_ptr<const Topology> topology) override;
  void AdoptIncarnation(Incarnation incarnation) override;
  void LeaseChanged(bool held) override;
  void DrainWanted(bool wanted) override;
  void Released() override;
  void LeftAlone() override { Released(); }
  void Fenced(const std::string& why) override;

  void MakeSequence(RequestId id, GenerateRequest request, GenerationListener* listener,
                    Time now) override;
  void CancelSequence(RequestId id) override;
  void RedateSequence(RequestId id, Time deadline) override;

  void OnLoaded(Time now);
  void UpdateProgress();
  void TellState(Time now);
  bool drains() const { return draining_ || drain_wanted_; }
  absl::Status CheckSubmit(const GenerateRequest& request, Time now);
  absl::string_view BytesOf(const GenerateRequest& request, int32_t id) const;
  void End(Sequence& sequence, const absl::Status& why);
  void EndExpired(Time now);
  bool MayAdmit() const;
  Time PatienceEnds(const Sequence& sequence) const;
  void StartStep();
  void PlanRows(Sequence& sequence, const RowRange& range);
  void Commit();
  void TakeOutput(Sequence& sequence, int32_t row, const StepOutput& output);
  void TakeToken(Sequence& sequence, int32_t row, const StepOutput& output);
  void TakePooled(Sequence& sequence, int32_t row, const StepOutput& output);

  static constexpr uint64_t kLoadToken = 1;
  static constexpr uint64_t kFirstStepToken = 16;

  AttentionNodeOptions options_;
  LayerCompute* compute_;
  ControlLink* control_;
  ControlLinkListener* listener_;
  Transport* transport_;
  NodeHost* host_;
  WorkerSession session_;
  Dispatcher dispatcher_;
  ExpertClasses classes_;
  StepMachine step_;
  Batch batch_;
  KeptAnswers kept_;
  bool ready_ = false;
  bool draining_ = false;      // by its own wish
  bool drain_wanted_ = false;  // by an operator's
  bool released_ = false;
  bool ended_ = false;           // by EndAll
  Time now_{};                   // of the event that is handled: for the session's callbacks
  Time blocked_since_ = kNever;  // nothing may be admitted since then; kNever: it may
  std::vector<Sequence*> row_sequence_;  // of the step's rows
  std::vector<RowRange> ranges_;         // scratch of StartStep
  std::vector<Incarnation> silent_;      // scratch of Tick
};

}  // namespace expertmesh
