#include "expert_worker/core/expert_node.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

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
      holds_(options_.identity.model.grid) {}

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
  StartLoad();
}

void ExpertNode::StartLoad() {
  if (load_running_) return;
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
    host_->Exit(status);
    return;
  }
  holds_.InsertAll(loading_);
  UpdateProgress();
  LogInfo("ready with ", holds_.size(), " experts");
  StartLoad();  // what was assigned meanwhile
  TellState(now);
}

void ExpertNode::TellState(Time now) {
  if (holds_.empty() && !load_running_) return;  // JOINING still
  ExpertSet loading = wanted_;
  loading.RemoveAll(holds_);
  session_.Update(now, holds_.empty() ? WorkerState::kLoading : WorkerState::kReady, holds_,
                  loading);
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
  for (const Assignment& a : message.assignments) {
    if (a.expert > INT32_MAX || header.layer > INT32_MAX ||
        !holds_.Contains(static_cast<int32_t>(header.layer), static_cast<int32_t>(a.expert))) {
      return absl::FailedPreconditionError(
          absl::StrCat("dispatch for layer ", header.layer, " expert ", a.expert,
                       ", which is not held here (epoch ", ToString(header.epoch), ")"));
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
  const uint64_t token = next_token_++;
  Held& held = NewCall(token);
  held.call.channel = id;
  held.call.request = std::move(message);
  if (held.call.assignments() == 0) return Answer(token, held);
  queue_.Push(&held.call);
  StartPass();
}

void ExpertNode::OnPing(ChannelId id, Peer& peer, const MessageHeader& ping) {
  std::vector<uint64_t> in_hand;
  for (const auto& [token, held] : calls_) {
    if (held.call.channel == id && in_hand.size() < kMaxCallsPerPong) {
      in_hand.push_back(held.call.request.header.call.sequence);
    }
  }
  MessageHeader pong;
  pong.kind = MessageKind::kPong;
  pong.ping = ping.ping;
  pong.call.sender = peer.incarnation;
  Body body;
  body.calls = in_hand;
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
  pass_rows_.clear();
  for (const PassPiece& piece : pass_) {
    const Message& request = piece.call->request;
    piece.call->output.resize(OutputBytes(request));  // once: no rows wait for it before
    const size_t row_bytes = request.header.row_elements * SizeOf(request.header.dtype);
    for (size_t i = piece.first; i < piece.first + piece.count; ++i) {
      const Assignment& a = request.assignments[i];
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
  if (load_running_) UpdateProgress();
  session_.OnTick(now);
}

void ExpertNode::UpdateProgress() {
  uint64_t loaded = 0, wanted = 0;
  compute_->LoadProgress(&loaded, &wanted);
  session_.UpdateProgress(loaded, wanted);
}

Time ExpertNode::NextWakeup() const { return session_.NextWakeup(); }

}  // namespace expertmesh
