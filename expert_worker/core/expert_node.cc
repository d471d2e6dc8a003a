#include "expert_worker/core/expert_node.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr Duration kFirstLoadBackoff = std::chrono::seconds(1);
constexpr Duration kLongestLoadBackoff = std::chrono::seconds(30);

size_t OutputBytes(const Message& dispatch) {
  return dispatch.assignments.size() * dispatch.header.row_elements * SizeOf(dispatch.header.dtype);
}

size_t BytesInHand(const Message& dispatch) {
  return dispatch.rows.bytes().size() + OutputBytes(dispatch);
}

}  // namespace

ExpertNode::ExpertNode(ExpertNodeOptions options, ExpertCompute* compute, ControlLink* control,
                       ControlLinkListener* listener, Transport* transport, NodeHost* host)
    : options_(std::move(options)),
      compute_(compute),
      control_(control),
      listener_(listener),
      transport_(transport),
      host_(host),
      session_(options_.identity, this),
      queue_(options_.max_pass_rows),
      wanted_(options_.identity.model.grid),
      loading_(options_.identity.model.grid),
      holds_(options_.identity.model.grid),
      leaving_(options_.identity.model.grid),
      rows_run_(options_.identity.model.grid.size(), 0) {}

ExpertNode::~ExpertNode() = default;

// ---- membership

void ExpertNode::Start(Time now) { session_.Start(now); }
void ExpertNode::OnLinkUp(Time now) { session_.OnLinkUp(now); }
void ExpertNode::OnCommand(const Command& command, Time now) {
  session_.OnCommand(command, now);
  TellState(now);
}
void ExpertNode::OnLinkDown(const absl::Status& why, Time now) {
  LogInfo("link to control is down: ", why.message());
  session_.OnLinkDown(now);
}
void ExpertNode::Connect() { control_->Connect(listener_); }
void ExpertNode::SendReport(const Report& report) { control_->Send(report); }
void ExpertNode::LeaseChanged(bool held) { LogInfo(held ? "lease granted" : "lease lost"); }
void ExpertNode::Fenced(const std::string& why) {
  host_->Exit(absl::AbortedError(absl::StrCat("fenced: ", why)));
}

void ExpertNode::AdoptIncarnation(Incarnation incarnation) {
  const Report& id = options_.identity;
  LogInfo("joined as ", id.name, " ", ToString(incarnation));
  transport_->SetHello(HelloOf(id, incarnation, options_.wire_dtype));
}

void ExpertNode::Assign(const ExpertSet& experts) {
  if (experts.grid() != wanted_.grid()) {
    LogWarning("an assignment for another model is ignored");
    return;
  }
  wanted_ = experts;
  leaving_ = holds_;
  leaving_.RemoveAll(wanted_);
  Unload();
  StartLoad();
}

void ExpertNode::AdoptTopology(std::shared_ptr<const Topology> topology) {
  epoch_ = topology->epoch;
}

void ExpertNode::StartLoad() {
  if (load_running_ || retry_load_ != kNever || !leaving_.empty())
    return;  // first what is to go gives its memory back
  ExpertSet missing = wanted_;
  missing.RemoveAll(holds_);
  if (missing.empty()) return;
  LogInfo("loading ", missing.size(), " experts: ", missing.ToText());
  loading_ = missing;
  load_running_ = true;
  compute_->Load(loading_, kLoadToken);
}

void ExpertNode::OnLoaded(Time now) {
  load_running_ = false;
  if (absl::Status status = compute_->FinishLoad(); !status.ok()) {
    if (holds_.empty()) return host_->Exit(status);
    // What it has is needed all the more.
    LogError("a load has failed, and is tried again: ", status.message());
    load_backoff_ = std::clamp(2 * load_backoff_, kFirstLoadBackoff, kLongestLoadBackoff);
    retry_load_ = now + load_backoff_;
    return TellState(now);
  }
  load_backoff_ = Duration::zero();
  holds_.InsertAll(loading_);
  leaving_ = holds_;  // what was loaded may not be wanted any more
  leaving_.RemoveAll(wanted_);
  UpdateProgress();
  LogInfo("ready with ", holds_.size(), " experts");
  Unload();
  StartLoad();  // what was assigned meanwhile
  TellState(now);
}

// What is no longer wanted goes as soon as no call in hand needs it.
void ExpertNode::Unload() {
  if (leaving_.empty() || Needed(leaving_)) return;
  LogInfo("unloading ", leaving_.size(), " experts: ", leaving_.ToText());
  compute_->Unload(leaving_);
  holds_.RemoveAll(leaving_);
  leaving_ = ExpertSet(holds_.grid());
  StartLoad();
}

bool ExpertNode::Needed(const ExpertSet& experts) const {
  for (const auto& [token, held] : calls_) {
    if (held.answered) continue;
    const Message& request = held.call.request;
    for (const Assignment& a : request.assignments) {
      if (experts.Contains(static_cast<int32_t>(request.header.layer),
                           static_cast<int32_t>(a.expert))) {
        return true;
      }
    }
  }
  return false;
}

bool ExpertNode::Serves(uint32_t layer, uint32_t expert) const {
  return holds_.Contains(static_cast<int32_t>(layer), static_cast<int32_t>(expert)) &&
         !leaving_.Contains(static_cast<int32_t>(layer), static_cast<int32_t>(expert));
}

void ExpertNode::Drain(Time now) {
  draining_ = true;
  TellState(now);
}

void ExpertNode::Released() {
  if (!calls_.empty() || std::exchange(released_, true)) return;  // it comes again
  LogInfo("drained");
  host_->Exit(absl::OkStatus());
}

// Who still asks is not left in the lurch, however long control is away.
void ExpertNode::LeftAlone() {
  if (peers_.empty()) Released();
}

void ExpertNode::TellState(Time now) {
  ExpertSet loading = wanted_;
  loading.RemoveAll(holds_);
  WorkerState state = WorkerState::kReady;
  if (draining_ || drain_wanted_) {
    state = WorkerState::kDraining;
  } else if (holds_.empty()) {
    state = load_running_ ? WorkerState::kLoading : WorkerState::kJoining;
  }
  ExpertSet answered = holds_;
  answered.RemoveAll(leaving_);
  session_.Update(now, state, answered, loading);
}

// ---- peers and their calls

void ExpertNode::OnOpened(std::shared_ptr<Channel> channel, const Hello& peer, Time now) {
  LogInfo("channel from ", peer.name, " ", ToString(peer.incarnation));
  const ChannelId id = channel->id();
  peers_[id] = {std::move(channel), peer.incarnation, peer.name};
}

void ExpertNode::OnClosed(ChannelId id, const absl::Status& why, Time now) {
  auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  LogInfo("channel from ", peer->second.name, " closed: ", why.message());
  peers_.erase(peer);
  for (auto it = calls_.begin(); it != calls_.end();) {
    Held& held = it->second;
    if (held.call.channel == id) {
      held.abandoned = true;
      queue_.Remove(&held.call);
    }
    // An answered call's buffer is the transport's until OnSent; a running one the pass's.
    const bool free = held.abandoned && !held.in_pass && !held.answered;
    it = free ? EndCall(it) : std::next(it);
  }
  Unload();
}

void ExpertNode::OnMessage(ChannelId id, Message message, Time now) {
  auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  switch (message.header.kind) {
    case MessageKind::kDispatch:
      return OnDispatch(id, peer->second, std::move(message));
    case MessageKind::kPing:
      return OnPing(id, peer->second, message.header);
    case MessageKind::kCombine:
    case MessageKind::kPong:
    case MessageKind::kNotHere:
      break;
  }
  peer->second.channel->Close(absl::InvalidArgumentError("an expert worker sends combines"));
}

absl::Status ExpertNode::CheckDispatch(const Message& message) const {
  const MessageHeader& header = message.header;
  if (header.dtype != options_.wire_dtype ||
      header.row_elements != static_cast<uint32_t>(options_.identity.model.hidden)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dispatch has rows of ", header.row_elements, " ", Name(header.dtype), "; ",
                     options_.identity.model.hidden, " ", Name(options_.wire_dtype), " expected"));
  }
  if (message.assignments.size() > kMaxRowsPerMessage) {
    return absl::InvalidArgumentError(absl::StrCat("dispatch has ", message.assignments.size(),
                                                   " assignments; at most ", kMaxRowsPerMessage,
                                                   ", a combine's rows"));
  }
  const size_t combine_bytes = OutputBytes(message);
  if (combine_bytes > kMaxFrameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("dispatch asks for a combine of ", combine_bytes,
                                                   " bytes; at most ", kMaxFrameBytes));
  }
  const ExpertGrid& grid = holds_.grid();
  for (const Assignment& a : message.assignments) {
    const int64_t layer = int64_t{header.layer} - grid.first_layer;
    if (layer < 0 || layer >= grid.layers || a.expert >= static_cast<uint32_t>(grid.experts)) {
      return absl::InvalidArgumentError(absl::StrCat("dispatch for layer ", header.layer,
                                                     " expert ", a.expert,
                                                     ", which the model does not have"));
    }
  }
  return absl::OkStatus();
}

// Whether the channel may have this call in hand beside what it has. `repeated`: it has it already.
absl::Status ExpertNode::CheckShare(ChannelId id, const Message& message, bool* repeated) const {
  size_t calls = 0, bytes = BytesInHand(message);
  for (const auto& [token, held] : calls_) {
    if (held.call.channel != id) continue;  // a peer that dialled again waits for its answer here
    const Message& request = held.call.request;
    *repeated |= request.header.call == message.header.call && !held.abandoned && !held.answered;
    bytes += BytesInHand(request);
    ++calls;
  }
  if (calls >= kMaxCallsPerPeer) {
    return absl::ResourceExhaustedError(
        absl::StrCat(calls, " calls in hand; at most ", kMaxCallsPerPeer));
  }
  if (calls > 0 && bytes > kMaxBytesPerPeer) {
    return absl::ResourceExhaustedError(absl::StrCat(calls + 1, " calls with ", bytes,
                                                     " bytes in hand; at most ", kMaxBytesPerPeer));
  }
  return absl::OkStatus();
}

void ExpertNode::OnDispatch(ChannelId id, Peer& peer, Message message) {
  if (message.header.call.sender != peer.incarnation) return;  // of a life that is over
  bool repeated = false;
  absl::Status status = CheckShare(id, message, &repeated);
  if (repeated) return;
  if (status.ok()) status = CheckDispatch(message);
  if (!status.ok()) {
    LogWarning("from ", peer.name, ": ", status.message());
    peer.channel->Close(status);
    return;
  }
  const bool all_here =
      std::all_of(message.assignments.begin(), message.assignments.end(),
                  [&](const Assignment& a) { return Serves(message.header.layer, a.expert); });
  if (!all_here) return AnswerNotHere(peer, message);
  const uint64_t token = next_token_++;
  Held& held = NewCall(token);
  held.call.channel = id;
  held.call.request = std::move(message);
  if (held.call.assignments() == 0) return Answer(token, held);
  queue_.Push(&held.call);
  StartPass();
}

// None of it is run: the sender asks others for all of it, or for what else we hold once more.
void ExpertNode::AnswerNotHere(Peer& peer, const Message& message) {
  std::vector<uint64_t> absent;
  for (const Assignment& a : message.assignments) {
    const bool fits = absent.size() < kMaxNumbersPerMessage;
    if (fits && !Serves(message.header.layer, a.expert)) absent.push_back(a.expert);
  }
  std::sort(absent.begin(), absent.end());
  absent.erase(std::unique(absent.begin(), absent.end()), absent.end());
  MessageHeader answer;
  answer.kind = MessageKind::kNotHere;
  answer.call = message.header.call;
  answer.epoch = epoch_;
  answer.layer = message.header.layer;
  Body body;
  body.numbers = absent;
  LogInfo(peer.name, " asks for ", absent.size(), " experts of layer ", answer.layer, " by epoch ",
          ToString(message.header.epoch), "; they are not here in ", ToString(epoch_));
  if (absl::Status sent = peer.channel->Send(answer, body, Event(), nullptr); !sent.ok()) {
    peer.channel->Close(Annotate(sent, "not here"));
  }
}

void ExpertNode::OnPing(ChannelId id, Peer& peer, const MessageHeader& ping) {
  std::vector<uint64_t> in_hand;
  for (const auto& [token, held] : calls_) {
    if (held.call.channel == id && in_hand.size() < kMaxNumbersPerMessage) {
      in_hand.push_back(held.call.request.header.call.sequence);
    }
  }
  MessageHeader pong;
  pong.kind = MessageKind::kPong;
  pong.ping = ping.ping;
  pong.call.sender = peer.incarnation;
  Body body;
  body.numbers = in_hand;
  if (absl::Status status = peer.channel->Send(pong, body, Event(), nullptr); !status.ok()) {
    LogDebug("pong to ", peer.name, " not sent: ", status.message());
  }
}

// A call under this token, with the output memory of an ended one where there is any.
ExpertNode::Held& ExpertNode::NewCall(uint64_t token) {
  if (spare_.empty()) return calls_[token];
  auto node = std::move(spare_.back());
  spare_.pop_back();
  spare_bytes_ -= node.mapped().call.output.capacity();
  node.key() = token;
  return calls_.insert(std::move(node)).position->second;
}

ExpertNode::CallMap::iterator ExpertNode::EndCall(CallMap::iterator call) {
  auto next = std::next(call);
  Held& held = call->second;
  std::vector<std::byte> output = std::move(held.call.output);
  held = Held{};  // gives the request's rows back now
  auto node = calls_.extract(call);
  if (spare_bytes_ + output.capacity() > kMaxSpareBytes) return next;
  spare_bytes_ += output.capacity();
  node.mapped().call.output = std::move(output);
  spare_.push_back(std::move(node));
  return next;
}

// ---- passes

void ExpertNode::StartPass() {
  if (pass_running_ || queue_.empty()) return;
  int32_t layer = 0;
  queue_.TakePass(pass_, &layer);
  const ExpertGrid& grid = holds_.grid();
  const int64_t first = int64_t{layer - grid.first_layer} * grid.experts;
  pass_rows_.clear();
  for (const PassPiece& piece : pass_) {
    const Message& request = piece.call->request;
    piece.call->output.resize(OutputBytes(request));  // once: no rows wait for it before
    const size_t row_bytes = request.header.row_elements * SizeOf(request.header.dtype);
    for (size_t i = piece.first; i < piece.first + piece.count; ++i) {
      const Assignment& a = request.assignments[i];
      ++rows_run_[first + a.expert];
      pass_rows_.push_back({request.rows.bytes().data() + a.row * row_bytes,
                            static_cast<int32_t>(a.expert),
                            piece.call->output.data() + i * row_bytes});
    }
  }
  for (auto& [token, held] : calls_) {
    for (const PassPiece& piece : pass_) held.in_pass |= piece.call == &held.call;
  }
  pass_running_ = true;
  compute_->Run(layer, pass_rows_, kPassToken);
}

void ExpertNode::OnPassDone() {
  pass_running_ = false;
  for (const PassPiece& piece : pass_) piece.call->done += piece.count;
  for (auto it = calls_.begin(); it != calls_.end();) {
    auto next = std::next(it);
    Held& held = it->second;
    if (held.in_pass) {
      held.in_pass = false;
      if (held.abandoned) {
        EndCall(it);
      } else if (held.call.done == held.call.assignments()) {
        Answer(it->first, held);
      }
    }
    it = next;
  }
  Unload();
  StartPass();
}

void ExpertNode::Answer(uint64_t token, Held& held) {
  const MessageHeader& request = held.call.request.header;
  MessageHeader combine;
  combine.kind = MessageKind::kCombine;
  combine.lane = request.lane;
  combine.dtype = request.dtype;
  combine.call = request.call;
  combine.epoch = request.epoch;
  combine.layer = request.layer;
  combine.rows = static_cast<uint32_t>(held.call.assignments());
  combine.row_elements = request.row_elements;
  const size_t row_bytes = request.row_elements * SizeOf(request.dtype);
  Body body;
  body.rows = {held.call.output.data(), row_bytes, row_bytes, held.call.assignments(), {}};
  held.answered = true;
  Peer& peer = peers_.at(held.call.channel);
  absl::Status sent = peer.channel->Send(combine, body, Event(), host_->SentToken(token));
  if (!sent.ok()) {
    // Closed, or its window is full: a peer that does not read loses its channel. OnClosed follows.
    held.answered = false;
    peer.channel->Close(Annotate(sent, "combine"));
  }
}

void ExpertNode::OnSent(uint64_t token, Time now) {
  if (auto call = calls_.find(token); call != calls_.end()) EndCall(call);
}

void ExpertNode::OnComputed(uint64_t token, Time now) {
  if (token == kLoadToken) return OnLoaded(now);
  OnPassDone();
}

void ExpertNode::Tick(Time now) {
  if (now >= retry_load_) {
    retry_load_ = kNever;
    StartLoad();
  }
  if (load_running_) UpdateProgress();
  if (now >= next_rows_) {
    next_rows_ = now + kRowsPeriod;
    UpdateRows();
  }
  session_.OnTick(now);
}

void ExpertNode::UpdateRows() {
  const ExpertSet& told = session_.report().holds;
  const ExpertGrid& grid = told.grid();
  std::vector<uint64_t> rows;
  for (int64_t i = 0; i < grid.size(); ++i) {
    const auto layer = static_cast<int32_t>(i / grid.experts) + grid.first_layer;
    if (told.Contains(layer, static_cast<int32_t>(i % grid.experts))) rows.push_back(rows_run_[i]);
  }
  session_.UpdateRows(std::move(rows));
}

void ExpertNode::UpdateProgress() {
  uint64_t loaded = 0, wanted = 0;
  compute_->LoadProgress(&loaded, &wanted);
  session_.UpdateProgress(loaded, wanted);
}

Time ExpertNode::NextWakeup() const { return std::min(session_.NextWakeup(), retry_load_); }

}  // namespace expertmesh
