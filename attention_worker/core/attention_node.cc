#include "attention_worker/core/attention_node.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

DispatcherOptions ForDispatcher(const AttentionNodeOptions& options, const ModelShape& shape) {
  DispatcherOptions out;
  out.liveness = options.liveness;
  out.row_elements = static_cast<uint32_t>(shape.hidden);
  out.row_bytes = shape.hidden * SizeOf(options.wire_dtype);
  out.top_k = shape.top_k;
  out.wire_dtype = options.wire_dtype;
  return out;
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
      dispatcher_(
          ForDispatcher(options_, compute->shape()), transport, host,
          [this](int32_t row, const absl::Status& why) { EndRunning(*row_sequence_[row], why); }),
      step_(compute, &dispatcher_, kFirstStepToken),
      pool_(compute->shape().blocks) {}

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
  session_.Update(now, WorkerState::kReady, ExpertSet(), ExpertSet());
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
        TryAgainLater("experts are now held by workers of another compute class");
    for (SequencePtr& sequence : running_) EndRunning(*sequence, why);
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

absl::Status AttentionNode::CheckSubmit(const GenerateRequest& request) const {
  RETURN_IF_ERROR(ValidateRequest(request, options_.limits));
  if (ended_) return TryAgainLater("this worker is stopping");
  if (!ready_) return TryAgainLater("weights are still loading");
  const size_t most = static_cast<size_t>(options_.max_sequences) + options_.max_waiting;
  if (sequences() >= most) {
    return WithRetryAfter(absl::ResourceExhaustedError(
                              absl::StrCat(sequences(), " requests run or wait; at most ", most,
                                           " (--max-sequences and --max-waiting together)")),
                          kRetryHint);
  }
  return absl::OkStatus();
}

void AttentionNode::Submit(RequestId id, GenerateRequest request, GenerationListener* listener,
                           Time now) {
  if (absl::Status status = CheckSubmit(request); !status.ok()) {
    listener->OnEnd(id, status);
    return;
  }
  const auto prompt = static_cast<int32_t>(request.prompt.size());
  if (request.max_tokens == 0) {
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
  sequence->request = std::move(request);
  waiting_.push_back(std::move(sequence));
}

absl::string_view AttentionNode::BytesOf(const GenerateRequest& request, int32_t id) const {
  if (request.stop.empty()) return {};  // nobody looks at them
  return options_.token_bytes(id, request.special_tokens);
}

void AttentionNode::Cancel(RequestId id) {
  const absl::Status cancelled = absl::CancelledError("cancelled by the client");
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if ((*it)->id != id) continue;
    (*it)->listener->OnEnd(id, cancelled);
    waiting_.erase(it);
    return;
  }
  for (SequencePtr& sequence : running_) {
    if (sequence->id == id) return EndRunning(*sequence, cancelled);
  }
}

void AttentionNode::EndAll(const absl::Status& why) {
  if (ended_) return;
  ended_ = true;
  for (SequencePtr& sequence : waiting_) sequence->listener->OnEnd(sequence->id, why);
  waiting_.clear();
  for (SequencePtr& sequence : running_) {  // they stay: a step may still name them
    EndRunning(*sequence, why);
    pool_.Give(sequence->blocks);  // nobody takes them any more
  }
}

void AttentionNode::EndRunning(Sequence& sequence, const absl::Status& why) {
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
  dispatcher_.Tick(now);
  EndExpired(now);
  while (step_.Advance(now)) Commit();
  if (step_.idle()) {
    RemoveEnded();
    Admit(now);
    if (!running_.empty()) StartStep();
  }
  session_.UpdateLoad(static_cast<uint32_t>(running_.size()),
                      static_cast<uint32_t>(waiting_.size()));
}

Time AttentionNode::NextWakeup() const {
  if (ended_) return kNever;
  Time wake = std::min(session_.NextWakeup(), dispatcher_.NextWakeup());
  for (const SequencePtr& sequence : waiting_) {
    wake = std::min(wake, sequence->request.deadline);
    if (!MayAdmit()) wake = std::min(wake, PatienceEnds(*sequence));
  }
  for (const SequencePtr& sequence : running_) {
    if (!sequence->ended) wake = std::min(wake, sequence->request.deadline);
  }
  return wake;
}

void AttentionNode::EndExpired(Time now) {
  const absl::Status expired = absl::DeadlineExceededError("the request's deadline passed");
  for (SequencePtr& sequence : running_) {
    if (now >= sequence->request.deadline) EndRunning(*sequence, expired);
  }
  const bool may_admit = MayAdmit();
  if (may_admit) {
    blocked_since_ = kNever;
  } else if (blocked_since_ == kNever) {
    blocked_since_ = now;
  }
  std::erase_if(waiting_, [&](SequencePtr& sequence) {
    if (now >= sequence->request.deadline) {
      sequence->listener->OnEnd(sequence->id, expired);
      return true;
    }
    if (may_admit || now < PatienceEnds(*sequence)) return false;
    const std::string missing =
        session_.lease_held() ? dispatcher_.UnreachableText() : "no lease from control";
    sequence->listener->OnEnd(sequence->id, TryAgainLater(missing));
    return true;
  });
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

void AttentionNode::Admit(Time now) {
  if (!MayAdmit()) return;
  const int32_t block_rows = compute_->shape().block_rows;
  while (!waiting_.empty() && running_.size() < static_cast<size_t>(options_.max_sequences)) {
    Sequence& next = *waiting_.front();
    const int32_t most = static_cast<int32_t>(next.request.prompt.size()) + next.request.max_tokens;
    if (!pool_.Take((most + block_rows - 1) / block_rows, next.blocks)) return;
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

// ---- steps

void AttentionNode::StartStep() {
  progress_.clear();
  for (const SequencePtr& sequence : running_) {
    progress_.push_back({sequence->cached, static_cast<int32_t>(sequence->tokens.size())});
  }
  PlanStep(progress_, options_.scheduler, ranges_);

  StepPlan& plan = step_.plan();
  plan.Clear();
  row_sequence_.clear();
  for (const RowRange& range : ranges_) {
    plan.blocks_stride =
        std::max(plan.blocks_stride, static_cast<int32_t>(running_[range.index]->blocks.size()));
  }
  for (const RowRange& range : ranges_) PlanRows(*running_[range.index], range);
  const bool decodes = ranges_.front().count == 1;
  step_.Begin(decodes ? Lane::kDecode : Lane::kPrefill);
}

void AttentionNode::PlanRows(Sequence& sequence, const RowRange& range) {
  StepPlan& plan = step_.plan();
  const int32_t slot = static_cast<int32_t>(plan.blocks.size()) / std::max(1, plan.blocks_stride);
  plan.blocks.insert(plan.blocks.end(), sequence.blocks.begin(), sequence.blocks.end());
  plan.blocks.resize(static_cast<size_t>(slot + 1) * plan.blocks_stride, 0);
  const int32_t prompt = static_cast<int32_t>(sequence.request.prompt.size());
  const int32_t known = static_cast<int32_t>(sequence.tokens.size());
  for (int32_t position = range.first; position < range.first + range.count; ++position) {
    const int32_t row = plan.rows();
    plan.tokens.push_back(sequence.tokens[position]);
    plan.positions.push_back(position);
    plan.slots.push_back(slot);
    row_sequence_.push_back(&sequence);
    const bool last = position + 1 == known;
    const bool scored = sequence.request.prompt_logprobs && position + 1 < prompt;
    if (!last && !scored) continue;
    plan.outputs.push_back({row, scored ? sequence.tokens[position + 1] : -1,
                            last ? sequence.request.top_logprobs : 0,
                            last ? &sequence.sampling : nullptr});
  }
}

void AttentionNode::Commit() {
  const StepPlan& plan = step_.plan();
  for (int32_t row = 0; row < plan.rows(); ++row) {
    row_sequence_[row]->cached = plan.positions[row] + 1;
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const int32_t row = plan.outputs[i].row;
    Sequence& sequence = *row_sequence_[row];
    if (!sequence.ended) TakeOutput(sequence, row, compute_->output(i));
  }
  for (const SequencePtr& sequence : running_) {
    Delta& delta = sequence->delta;
    if (sequence->ended || delta.tokens.empty()) continue;
    delta.usage = {static_cast<int32_t>(sequence->request.prompt.size()),
                   sequence->rule.output_tokens()};
    const FinishReason finish = delta.finish;
    sequence->listener->OnDelta(sequence->id, std::move(delta));
    delta = Delta();
    if (finish != FinishReason::kNone) EndRunning(*sequence, absl::OkStatus());
  }
}

void AttentionNode::TakeOutput(Sequence& sequence, int32_t row, const StepOutput& output) {
  if (!std::isfinite(output.logprob) || !std::isfinite(output.target_logprob)) {
    return EndRunning(sequence, absl::InternalError("the model's logits are not finite"));
  }
  const int32_t next = step_.plan().positions[row] + 1;
  if (next < static_cast<int32_t>(sequence.request.prompt.size())) {
    sequence.prompt_logprobs.push_back(output.target_logprob);
    return;
  }
  Delta& delta = sequence.delta;
  delta.prompt_logprobs = std::move(sequence.prompt_logprobs);  // before the first token of ours
  OutputToken token{output.id, output.logprob, {}};
  token.top.assign(output.top.begin(), output.top.end());
  delta.tokens.push_back(std::move(token));
  sequence.tokens.push_back(output.id);
  sequence.sampling.Accept(output.id);
  delta.finish = sequence.rule.Accept(output.id, BytesOf(sequence.request, output.id));
  delta.stop_token_id = sequence.rule.stop_token_id();
  delta.stop_string = sequence.rule.stop_string();
}

void AttentionNode::RemoveEnded() {
  std::erase_if(running_, [&](SequencePtr& sequence) {
    if (sequence->ended) pool_.Give(sequence->blocks);
    return sequence->ended;
  });
}

}  // namespace expertmesh
