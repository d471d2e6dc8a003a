#include "attention_worker/core/attention_node.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "attention_worker/core/pooling.h"
#include "common/check.h"
#include "common/log.h"
#include "common/mutant.h"
#include "common/status.h"

namespace expertmesh {
namespace {

DispatcherOptions ForDispatcher(const AttentionNodeOptions& options, const ModelShape& shape) {
  DispatcherOptions out;
  out.liveness = options.liveness;
  out.retries = options.retries;
  out.coverage_wait = options.coverage_wait;
  out.hedge_after = options.hedge_after;
  out.row_elements = static_cast<uint32_t>(shape.hidden);
  out.row_bytes = shape.hidden * SizeOf(options.wire_dtype);
  out.top_k = shape.top_k;
  out.wire_dtype = options.wire_dtype;
  return out;
}

BatchOptions ForBatch(BatchOptions options, const ModelShape& shape) {
  options.scheduler.positions_per_row = shape.positions_per_row;
  return options;
}

}  // namespace

AttentionNode::AttentionNode(AttentionNodeOptions options, LayerCompute* compute,
                             ControlLink* control, ControlLinkListener* listener,
                             Transport* transport, NodeHost* host)
    : options_(std::move(options)),
      compute_(compute),
      control_(control),
      listener_(listener),
      transport_(transport),
      host_(host),
      session_(options_.identity, this),
      dispatcher_(ForDispatcher(options_, compute->shape()), transport, host,
                  [this](int32_t row, const absl::Status& why) { End(*row_sequence_[row], why); }),
      step_(compute, &dispatcher_, kFirstStepToken),
      batch_(ForBatch(options_.batch, compute->shape()), compute->shape().blocks,
             compute->shape().block_rows),
      kept_(options_.kept, this) {}

AttentionNode::~AttentionNode() = default;

// ---- membership

void AttentionNode::Start(Time now) {
  now_ = now;
  compute_->Load(kLoadToken);
  session_.Update(now, WorkerState::kLoading, ExpertSet(), ExpertSet());
  session_.Start(now);
}

void AttentionNode::OnLoaded(Time now) {
  if (absl::Status status = compute_->FinishLoad(); !status.ok()) {
    host_->Exit(status);
    return;
  }
  ready_ = true;
  UpdateProgress();
  LogInfo("ready");
  TellState(now);
}

void AttentionNode::TellState(Time now) {
  WorkerState state = ready_ ? WorkerState::kReady : WorkerState::kLoading;
  if (drains()) state = WorkerState::kDraining;
  session_.Update(now, state, ExpertSet(), ExpertSet());
}

void AttentionNode::Drain(Time now) {
  draining_ = true;
  TellState(now);
}

void AttentionNode::DrainWanted(bool wanted) {
  drain_wanted_ = wanted;
  TellState(now_);
}

void AttentionNode::Released() {
  if (released_ || sequences() > 0) return;  // control may not have heard of the newest ones
  released_ = true;
  LogInfo("drained");
  host_->Exit(absl::OkStatus());
}

void AttentionNode::UpdateProgress() {
  uint64_t loaded = 0, wanted = 0;
  compute_->LoadProgress(&loaded, &wanted);
  session_.UpdateProgress(loaded, wanted);
}

void AttentionNode::OnLinkUp(Time now) { session_.OnLinkUp(now); }

void AttentionNode::OnCommand(const Command& command, Time now) {
  now_ = now;
  session_.OnCommand(command, now);
}

void AttentionNode::OnLinkDown(const absl::Status& why, Time now) {
  LogInfo("link to control is down: ", why.message());
  session_.OnLinkDown(now);
}

void AttentionNode::Connect() { control_->Connect(listener_); }
void AttentionNode::SendReport(const Report& report) { control_->Send(report); }
void AttentionNode::LeaseChanged(bool held) { LogInfo(held ? "lease granted" : "lease lost"); }

void AttentionNode::AdoptTopology(std::shared_ptr<const Topology> topology) {
  LogInfo("topology ", ToString(topology->epoch), "; uncovered: ", Uncovered(*topology).ToText());
  if (classes_.Update(*topology)) {
    const absl::Status why =
        TryAgainAnywhere("experts are now held by workers of another compute class");
    for (const SequencePtr& sequence : batch_.running()) End(*sequence, why);
    for (const SequencePtr& sequence : batch_.waiting()) {
      if (sequence->preemptions > 0) End(*sequence, why);
    }
    batch_.SweepWaiting();
    batch_.ForgetLatents();
    kept_.ForgetUnmade();
  }
  dispatcher_.AdoptTopology(std::move(topology), now_);
}

void AttentionNode::AdoptIncarnation(Incarnation incarnation) {
  const Report& id = options_.identity;
  LogInfo("joined as ", id.name, " ", ToString(incarnation));
  transport_->SetHello(HelloOf(id, incarnation, options_.wire_dtype));
  dispatcher_.SetIncarnation(incarnation);
}

void AttentionNode::Fenced(const std::string& why) {
  const absl::Status status = absl::AbortedError(absl::StrCat("fenced: ", why));
  EndAll(TryAgainLater(status.message()));
  host_->Exit(status);
}

// ---- events of transport and compute

void AttentionNode::OnOpened(std::shared_ptr<Channel> channel, const Hello& peer, Time now) {
  dispatcher_.OnOpened(std::move(channel), peer, now);
}
void AttentionNode::OnMessage(ChannelId channel, Message message, Time now) {
  dispatcher_.OnMessage(channel, message, now);
}
void AttentionNode::OnClosed(ChannelId channel, const absl::Status& why, Time now) {
  dispatcher_.OnClosed(channel, why, now);
}
void AttentionNode::OnSent(uint64_t token, Time now) { dispatcher_.OnSent(now); }

void AttentionNode::OnComputed(uint64_t token, Time now) {
  if (token == kLoadToken) return OnLoaded(now);
  step_.OnComputed(token);
}

// ---- requests

absl::Status AttentionNode::CheckSubmit(const GenerateRequest& request, Time now) {
  RETURN_IF_ERROR(CheckHead(request, options_.limits));
  RETURN_IF_ERROR(ValidateRequest(request, options_.limits));
  if (ended_) return TryAgainLater("this worker is stopping");
  if (drains()) return TryAgainLater("this worker takes nothing new: it is being drained");
  if (!ready_) return TryAgainLater("weights are still loading");
  const size_t most = static_cast<size_t>(options_.batch.max_sequences) + options_.max_waiting;
  const bool full = sequences() >= most;
  if (!full && request.deadline == kNever) return absl::OkStatus();
  using std::chrono::milliseconds;
  const auto wait = std::chrono::duration_cast<milliseconds>(
      batch_.ExpectedWait(request, now).value_or(Duration::zero()));
  if (full) {
    return WithRetryAfter(absl::ResourceExhaustedError(
                              absl::StrCat(sequences(), " requests run or wait; at most ", most,
                                           " (--max-sequences and --max-waiting together)")),
                          std::max(wait, kRetryHint));
  }
  if (wait == wait.zero() || now + wait < request.deadline) return absl::OkStatus();
  const auto left = std::chrono::duration_cast<milliseconds>(request.deadline - now);
  return WithRetryAfter(absl::ResourceExhaustedError(
                            absl::StrCat("the deadline is in ", left.count(),
                                         " ms; a place is expected in ", wait.count(), " ms")),
                        wait);
}

void AttentionNode::Submit(RequestId id, GenerateRequest request, GenerationListener* listener,
                           Time now) {
  kept_.Start(id, std::move(request), listener, now);
}
void AttentionNode::Cancel(RequestId id) { kept_.Cancel(id); }
void AttentionNode::Detach(RequestId id, Time now) { kept_.Detach(id, now); }
void AttentionNode::Forget(const AnswerKey& key) { kept_.Forget(key); }

void AttentionNode::MakeSequence(RequestId id, GenerateRequest request,
                                 GenerationListener* listener, Time now) {
  if (absl::Status status = CheckSubmit(request, now); !status.ok()) {
    listener->OnEnd(id, status);
    return;
  }
  const auto prompt = static_cast<int32_t>(request.prompt.size());
  const bool pools = request.pooling != Pooling::kNone;
  if (pools) {
    request.max_tokens = 0;
    request.resumed.clear();
    request.prompt_logprobs = false;
  } else if (request.max_tokens == 0) {
    request.max_tokens = options_.limits.max_context - prompt;
    if (request.default_max_tokens > 0) {
      request.max_tokens = std::min(request.max_tokens, request.default_max_tokens);
    }
  }
  StopRule rule(request, options_.limits);
  for (size_t i = 0; i < request.resumed.size(); ++i) {
    const int32_t token = request.resumed[i];
    if (rule.Accept(token, BytesOf(request, token)) == FinishReason::kNone) continue;
    listener->OnEnd(id, absl::InvalidArgumentError(
                            absl::StrCat("resume.token_ids[", i, "] is ", token,
                                         ", which ended the answer; nothing is left to make")));
    return;
  }
  auto sequence = std::make_unique<Sequence>(
      Sequence{.id = id,
               .listener = listener,
               .rule = std::move(rule),
               .sampling = SamplingState(request, EndingIds(request, options_.limits))});
  sequence->arrived = now;
  sequence->tokens.reserve(prompt + request.max_tokens);
  sequence->tokens = request.prompt;
  sequence->tokens.insert(sequence->tokens.end(), request.resumed.begin(), request.resumed.end());
  if (pools) sequence->tokens.resize(PooledPositions(request, options_.limits));
  sequence->request = std::move(request);
  batch_.Add(std::move(sequence));
}

absl::string_view AttentionNode::BytesOf(const GenerateRequest& request, int32_t id) const {
  if (request.stop.empty()) return {};  // nobody looks at them
  return options_.token_bytes(id, request.special_tokens);
}

void AttentionNode::CancelSequence(RequestId id) {
  if (ended_) return;
  Sequence* sequence = batch_.Find(id);
  if (sequence != nullptr) End(*sequence, absl::CancelledError("cancelled by the client"));
  batch_.SweepWaiting();
}

void AttentionNode::RedateSequence(RequestId id, Time deadline) {
  if (Sequence* sequence = batch_.Find(id); sequence != nullptr && !sequence->ended) {
    sequence->request.deadline = deadline;
  }
}

void AttentionNode::EndAll(const absl::Status& why) {
  if (ended_) return;
  ended_ = true;
  for (const SequencePtr& sequence : batch_.waiting()) End(*sequence, why);
  for (const SequencePtr& sequence : batch_.running()) End(*sequence, why);
  batch_.ReleaseAll();  // nobody takes the blocks any more; a step may still name the sequences
}

void AttentionNode::End(Sequence& sequence, const absl::Status& why) {
  if (sequence.ended) return;
  sequence.ended = true;
  sequence.listener->OnEnd(sequence.id, why);
  if (step_.idle()) return;
  for (size_t row = 0; row < row_sequence_.size(); ++row) {
    if (row_sequence_[row] == &sequence) step_.Skip(static_cast<int32_t>(row));
  }
}

// ---- time

void AttentionNode::Tick(Time now) {
  if (ended_) return;
  now_ = now;
  if (!ready_) UpdateProgress();
  session_.OnTick(now);
  EndExpired(now);  // what has ended is not sent again
  dispatcher_.Tick(now);
#ifdef EXPERTMESH_MUTANTS
  if (Mutant("preempts_suspended_rows") && dispatcher_.suspended_since() != kNever) {
    batch_.PreemptInTheMidstOfAStep();
  }
#endif
  while (step_.Advance(now)) Commit();
  kept_.Tick(now);
  if (step_.idle()) {
    batch_.Sweep();
    if (MayAdmit()) batch_.Admit(now);
    if (!batch_.running().empty()) StartStep();
    DCHECK(batch_.Check().ok(), "every block of the cache is accounted for");
  }
  dispatcher_.Silent(silent_);
  session_.UpdateSilent(now, silent_);
  session_.UpdateLoad({static_cast<uint32_t>(batch_.running().size()),
                       static_cast<uint32_t>(batch_.waiting().size()),
                       static_cast<uint64_t>(batch_.used_blocks()) * compute_->shape().block_rows,
                       static_cast<uint64_t>(batch_.preemptions())});
}

Time AttentionNode::NextWakeup() const {
  if (ended_) return kNever;
  Time wake = std::min({session_.NextWakeup(), dispatcher_.NextWakeup(), kept_.NextWakeup()});
  for (const SequencePtr& sequence : batch_.waiting()) {
    wake = std::min(wake, sequence->request.deadline);
    if (!MayAdmit()) wake = std::min(wake, PatienceEnds(*sequence));
  }
  for (const SequencePtr& sequence : batch_.running()) {
    if (!sequence->ended) wake = std::min(wake, sequence->request.deadline);
  }
  return wake;
}

void AttentionNode::EndExpired(Time now) {
  const absl::Status expired = absl::DeadlineExceededError("the request's deadline passed");
  for (const SequencePtr& sequence : batch_.running()) {
    if (now >= sequence->request.deadline) End(*sequence, expired);
  }
  const bool may_admit = MayAdmit();
  if (may_admit) {
    blocked_since_ = kNever;
  } else if (blocked_since_ == kNever) {
    blocked_since_ = now;
  }
  for (const SequencePtr& sequence : batch_.waiting()) {
    if (now >= sequence->request.deadline) {
      End(*sequence, expired);
    } else if (!may_admit && now >= PatienceEnds(*sequence)) {
      End(*sequence, session_.lease_held() ? TryAgainAnywhere(dispatcher_.UnreachableText())
                                           : TryAgainLater("no lease from control"));
    }
  }
  batch_.SweepWaiting();
}

// When a waiting request gives up on a fleet that cannot serve it. Time that it waited for a place
// before that does not count.
Time AttentionNode::PatienceEnds(const Sequence& sequence) const {
  if (blocked_since_ == kNever) return kNever;
  return std::max(sequence.arrived, blocked_since_) + options_.coverage_wait;
}

bool AttentionNode::MayAdmit() const {
  const bool covered = compute_->shape().grid.layers == 0 || dispatcher_.covered();
  return session_.lease_held() && covered;
}

// ---- steps

void AttentionNode::StartStep() {
  StepPlan& plan = step_.plan();
  plan.Clear();
  batch_.Plan(now_, ranges_, plan.copies);
  row_sequence_.clear();
  for (const RowRange& range : ranges_) {
    const auto& blocks = batch_.running()[range.index]->cache.blocks;
    plan.blocks_stride = std::max(plan.blocks_stride, static_cast<int32_t>(blocks.size()));
  }
  for (const RowRange& range : ranges_) PlanRows(*batch_.running()[range.index], range);
  const bool decodes = ranges_.front().count == 1;
  step_.Begin(decodes ? Lane::kDecode : Lane::kPrefill);
}

void AttentionNode::PlanRows(Sequence& sequence, const RowRange& range) {
  StepPlan& plan = step_.plan();
  const int32_t slot = static_cast<int32_t>(plan.blocks.size()) / std::max(1, plan.blocks_stride);
  const std::vector<int32_t>& blocks = sequence.cache.blocks;
  plan.blocks.insert(plan.blocks.end(), blocks.begin(), blocks.end());
  plan.blocks.resize(static_cast<size_t>(slot + 1) * plan.blocks_stride, 0);
  for (int32_t position = range.first; position < range.first + range.count; ++position) {
    const int32_t row = plan.rows();
    plan.tokens.push_back(sequence.tokens[position]);
    plan.positions.push_back(position);
    plan.slots.push_back(slot);
    row_sequence_.push_back(&sequence);
    const bool last = position + 1 == sequence.known();
    const bool scored =
        sequence.wants_all() && position >= sequence.scored && position + 1 < sequence.prompt();
    if (!last && !scored) continue;
    StepPlan::Output output{.row = row, .wanted = WantedOf(sequence.request)};
    if (output.wanted == StepPlan::Output::Wanted::kToken) {
      if (scored) output.target = sequence.tokens[position + 1];
      if (last) output.top = sequence.request.top_logprobs;
      if (last) output.sampling = &sequence.sampling;
    }
    plan.outputs.push_back(output);
  }
}

void AttentionNode::Commit() {
  const StepPlan& plan = step_.plan();
  for (size_t row = 0, end = 0; row < row_sequence_.size(); row = end) {
    while (end < row_sequence_.size() && row_sequence_[end] == row_sequence_[row]) ++end;
    batch_.Computed(*row_sequence_[row], static_cast<int32_t>(end - row), now_);
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const int32_t row = plan.outputs[i].row;
    Sequence& sequence = *row_sequence_[row];
    if (!sequence.ended) TakeOutput(sequence, row, compute_->output(i));
  }
  for (const SequencePtr& sequence : batch_.running()) {
    Delta& delta = sequence->delta;
    if (sequence->ended || (delta.tokens.empty() && delta.values.empty())) continue;
    delta.usage = {sequence->prompt(), sequence->rule.output_tokens(), sequence->from_cache};
    const FinishReason finish = delta.finish;
    sequence->listener->OnDelta(sequence->id, std::move(delta));
    delta = Delta();
    if (finish != FinishReason::kNone) End(*sequence, absl::OkStatus());
  }
  batch_.StepDone();
}

void AttentionNode::TakeOutput(Sequence& sequence, int32_t row, const StepOutput& output) {
  if (sequence.request.pooling != Pooling::kNone) {
    TakePooled(sequence, row, output);
  } else {
    TakeToken(sequence, row, output);
  }
}

void AttentionNode::TakePooled(Sequence& sequence, int32_t row, const StepOutput& output) {
  const bool finite = std::all_of(output.values.begin(), output.values.end(),
                                  [](float value) { return std::isfinite(value); });
  if (!finite) {
    sequence.spoiled = true;
    return End(sequence, absl::InternalError("the model's hidden states are not finite"));
  }
  sequence.scored = step_.plan().positions[row] + 1;
  const bool last = sequence.scored == sequence.known();
  AddPooled(sequence.request, output.values, last ? sequence.known() : 0, sequence.sums,
            sequence.delta.values);
  if (!last) return;
  if (sequence.request.pooling == Pooling::kClasses) {
    const auto best = std::max_element(output.values.begin(), output.values.end());
    sequence.delta.label = options_.limits.labels[best - output.values.begin()];
  }
  sequence.delta.finish = FinishReason::kPrompt;
  batch_.PromptDone(sequence);
}

void AttentionNode::TakeToken(Sequence& sequence, int32_t row, const StepOutput& output) {
  if (!std::isfinite(output.logprob) || !std::isfinite(output.target_logprob)) {
    sequence.spoiled = true;
    return End(sequence, absl::InternalError("the model's logits are not finite"));
  }
  const int32_t next = step_.plan().positions[row] + 1;
  if (next < sequence.prompt()) {
    sequence.prompt_logprobs.push_back(output.target_logprob);
    sequence.scored = next;
    return;
  }
  Delta& delta = sequence.delta;
  delta.prompt_logprobs = std::move(sequence.prompt_logprobs);  // before the first token of ours
  OutputToken token{output.id, output.logprob, {}};
  token.top.assign(output.top.begin(), output.top.end());
  delta.tokens.push_back(std::move(token));
  sequence.tokens.push_back(output.id);
  batch_.PromptDone(sequence);
  sequence.sampling.Accept(output.id);
  delta.finish = sequence.rule.Accept(output.id, BytesOf(sequence.request, output.id));
  delta.stop_token_id = sequence.rule.stop_token_id();
  delta.stop_string = sequence.rule.stop_string();
}

}  // namespace expertmesh
