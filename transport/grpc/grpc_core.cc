#include "transport/grpc/grpc_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/log.h"
#include "common/status.h"
#include "transport/grpc/frame_codec.h"
#include "transport/wire.h"

namespace expertmesh {
namespace {

// How long a peer may take to hear our last word.
constexpr std::chrono::milliseconds kLinger{1000};

absl::Status ChannelClosed() { return absl::CancelledError("channel closed"); }

absl::StatusOr<GrpcCore::Frame> ParseAny(grpc::ByteBuffer& buffer) {
  ASSIGN_OR_RETURN(Payload bytes, UnwrapFrame(buffer));
  switch (SortOf(bytes.bytes())) {
    case FrameSort::kMessage: {
      ASSIGN_OR_RETURN(Message message, ParseFrame(std::move(bytes)));
      return message;
    }
    case FrameSort::kHello: {
      ASSIGN_OR_RETURN(Hello hello, ParseHandshake(bytes.bytes()));
      return hello;
    }
    case FrameSort::kLastWord:
      return GrpcCore::LastWord{ParseHandshake(bytes.bytes()).status()};
  }
  return absl::InternalError("unreachable");
}

absl::Status WhyDone(const Link& link, const grpc::Status& status) {
  if (status.ok()) return absl::UnavailableError(absl::StrCat(link.peer, " ended the stream"));
  return absl::UnavailableError(absl::StrCat(link.peer, ": ", status.error_message(),
                                             " (gRPC status ",
                                             static_cast<int>(status.error_code()), ")"));
}

}  // namespace

GrpcCore::GrpcCore(Endpoint* endpoint, GrpcTransportOptions options)
    : endpoint_(endpoint),
      options_(std::move(options)),
      gate_(ReadyGate::Make([this](uint64_t token) { inbox_.Post(Passed{token}); })) {}

GrpcCore::~GrpcCore() = default;

void GrpcCore::Start() {
  thread_ = std::thread([this] { Main(); });
}

void GrpcCore::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  Post(Stopped{});
  thread_.join();
  gate_->Detach();
  std::vector<News> dropped;  // nobody's news any more
  inbox_.Close(dropped);
}

// Ends when it was told to and every stream is done. That takes at most kLinger: then a stream is
// cancelled, and gRPC ends it whatever the peer does.
void GrpcCore::Main() {
  std::vector<News> news;
  while (!stopped_ || !links_.empty() || closes_to_tell_ > 0) {
    inbox_.Drain(next_deadline_, news);
    for (News& one : news) std::visit([this](auto& item) { Handle(item); }, one);
    if (Now() >= next_deadline_) CheckDeadlines();
  }
}

std::optional<Hello> GrpcCore::hello() const {
  MutexLock lock(mutex_);
  return hello_;
}

void GrpcCore::SetHello(const Hello& mine) {
  MutexLock lock(mutex_);
  hello_ = mine;
}

Link* GrpcCore::Find(ChannelId id) {
  auto link = links_.find(id);
  return link == links_.end() ? nullptr : &link->second;
}

// --- opening

std::shared_ptr<Channel> GrpcCore::Open(absl::string_view address,
                                        const PeerExpectation& expected) {
  const GrpcChannel::Window limit{options_.max_messages, options_.max_bytes};
  auto channel = std::make_shared<GrpcChannel>(shared_from_this(), next_id_.fetch_add(1), limit,
                                               absl::StrCat(expected.name, " at ", address));
  MutexLock lock(mutex_);
  CHECK(hello_.has_value(), "SetHello comes before the first Open");
  if (stopping_) {
    (void)channel->MarkClosed(absl::CancelledError("transport stopped"));
  } else {
    Post(Dialled{channel, std::string(address), expected, *hello_});
  }
  return channel;
}

std::shared_ptr<grpc::Channel> GrpcCore::Connect(const std::string& address) const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxGrpcMessageBytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(kMaxGrpcMessageBytes));
  // A broken stream is ours to send again, and nobody is between two workers.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // A peer that comes back is found soon. The least backoff is also gRPC's limit on connecting:
  // ours comes first, and says more.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   static_cast<int>(2 * options_.open_timeout.count()));
  if (options_.connect) return options_.connect(address, arguments);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void GrpcCore::Handle(Dialled& news) {
  const ChannelId id = news.channel->id();
  Link& link = links_[id];
  link.id = id;
  link.channel = std::move(news.channel);
  link.dialled = true;
  link.announced = true;
  link.peer = absl::StrCat(news.expected.name, " at ", news.address);
  link.expected = std::move(news.expected);
  link.writing = true;
  link.stream = DialledStream::Start(shared_from_this(), id, Connect(news.address),
                                     WrapFrame(WriteHello(news.hello)));
  SetDeadline(link, options_.open_timeout);
}

AcceptedStream* GrpcCore::Accept(grpc::CallbackServerContext* context) {
  auto stream = AcceptedStream::Make(shared_from_this(), next_id_.fetch_add(1), context);
  AcceptedStream* const reactor = stream.get();
  MutexLock lock(mutex_);
  if (stopping_) {
    reactor->End(WrapFrame(WriteRefusal(absl::UnavailableError("the worker stops"))));
  } else {
    Post(Accepted{std::move(stream)});
  }
  return reactor;
}

void GrpcCore::Handle(Accepted& news) {
  if (accepted_ >= options_.max_accepted) {
    news.stream->End(WrapFrame(WriteRefusal(absl::ResourceExhaustedError(
        absl::StrCat("the worker has ", accepted_, " channels already")))));
    return;
  }
  ++accepted_;
  const ChannelId id = news.stream->id();
  const GrpcChannel::Window limit{options_.max_messages, options_.max_bytes};
  Link& link = links_[id];
  link.id = id;
  link.peer = news.stream->peer_address();
  link.channel = std::make_shared<GrpcChannel>(shared_from_this(), id, limit, link.peer);
  link.stream = std::move(news.stream);
  link.stream->Read();
  SetDeadline(link, options_.hello_timeout);
}

absl::Status GrpcCore::JudgeDialler(const Hello& theirs) {
  const std::optional<Hello> mine = hello();
  if (!mine.has_value()) return absl::UnavailableError("the worker is not ready yet");
  RETURN_IF_ERROR(CheckCompatible(*mine, theirs));
  return endpoint_->Judge(theirs);
}

void GrpcCore::OnHello(Link& link, const Hello& theirs) {
  if (link.phase != Link::Phase::kGreeting) {
    return Close(link, absl::InvalidArgumentError(absl::StrCat(link.peer, " says hello twice")));
  }
  if (link.dialled) {
    absl::Status verdict = CheckCompatible(*hello(), theirs);
    if (verdict.ok()) verdict = CheckExpected(link.expected, theirs);
    if (!verdict.ok()) return Refuse(link, verdict);
  } else {
    link.peer = absl::StrCat(Describe(theirs), " at ", link.peer);
    if (absl::Status verdict = JudgeDialler(theirs); !verdict.ok()) return Refuse(link, verdict);
    link.stream->Write(WrapFrame(WriteHello(*hello())));
    link.writing = true;
  }
  Opened(link, theirs);
}

void GrpcCore::Opened(Link& link, const Hello& theirs) {
  link.peer = Describe(theirs);
  // Closed by the role meanwhile: CloseAsked is on its way.
  if (!link.channel->MarkOpen(link.peer)) return;
  link.phase = Link::Phase::kOpen;
  link.announced = true;
  link.deadline = kNever;
  if (link.writing) SetDeadline(link, options_.stall_timeout);
  endpoint_->OnOpened(link.channel, theirs);
}

// --- arriving

void GrpcCore::OnFrame(ChannelId id, grpc::ByteBuffer& frame) {
  // Parsed here, on gRPC's thread: frames of different streams at the same time.
  Post(Arrived{id, ParseAny(frame)});
}

void GrpcCore::Handle(Arrived& news) {
  Link* link = Find(news.id);
  if (link == nullptr || !link->live()) return;
  const bool greeting = link->phase == Link::Phase::kGreeting;
  if (!news.frame.ok()) {
    const absl::Status why = Annotate(news.frame.status(), link->peer);
    return greeting ? Refuse(*link, why) : Close(*link, why);
  }
  if (auto* last = std::get_if<LastWord>(&*news.frame)) {
    Retire(*link, last->why);
    return AwaitDone(*link);
  }
  // The next frame is read at once: what the role has not taken waits in its mailbox, and what a
  // peer may have there is the role's to bound.
  link->stream->Read();
  if (auto* theirs = std::get_if<Hello>(&*news.frame)) return OnHello(*link, *theirs);
  if (greeting) return Refuse(*link, absl::InvalidArgumentError("a message before the hello"));
  endpoint_->OnMessage(link->id, std::move(std::get<Message>(*news.frame)));
}

// --- sending

void GrpcCore::Handle(Submitted& news) {
  Link* link = Find(news.id);
  if (link == nullptr || link->phase != Link::Phase::kOpen) {
    news.out.Finish(ChannelClosed());
  } else if (news.token != 0) {
    deferred_[news.token] = {news.id, news.frame_bytes, std::move(news.out)};
  } else {
    Queue(*link, news.out, news.frame_bytes);
  }
}

void GrpcCore::Handle(Passed& news) {
  auto waiting = deferred_.find(news.token);
  if (waiting == deferred_.end()) return;  // its channel is closed
  Deferred deferred = std::move(waiting->second);
  deferred_.erase(waiting);
  Link* link = Find(deferred.id);
  if (link->phase != Link::Phase::kOpen) return deferred.out.Finish(ChannelClosed());
  Queue(*link, deferred.out, deferred.frame_bytes);
}

void GrpcCore::Queue(Link& link, Outgoing& out, size_t frame_bytes) {
  link.lanes[static_cast<size_t>(out.header.lane) - 1].push_back(
      {WrapMessage(out.header, out.body(), frame_bytes), frame_bytes});
  if (!link.writing) WriteNext(link);
  out.Finish(absl::OkStatus());
}

void GrpcCore::WriteNext(Link& link) {
  link.deadline = kNever;
  for (auto& lane : link.lanes) {
    if (lane.empty()) continue;
    link.writing = true;
    link.writing_size = lane.front().size;
    link.stream->Write(std::move(lane.front().bytes));
    lane.pop_front();
    return SetDeadline(link, options_.stall_timeout);
  }
}

void GrpcCore::Handle(Written& news) {
  Link* link = Find(news.id);
  if (link == nullptr) return;
  link->writing = false;
  if (!news.ok) return AwaitDone(*link);
  if (link->phase == Link::Phase::kClosing) return End(*link);
  if (const size_t size = std::exchange(link->writing_size, 0); size > 0)
    link->channel->Taken(size);
  if (link->phase == Link::Phase::kOpen) WriteNext(*link);
}

// --- ending

void GrpcCore::Handle(CloseAsked& news) {
  Link* link = Find(news.id);
  if (link != nullptr) Close(*link, link->channel->MarkClosed(absl::OkStatus()));
}

void GrpcCore::Refuse(Link& link, const absl::Status& verdict) {
  if (!link.announced) LogWarning("refused a channel from ", link.peer, ": ", verdict.message());
  EndWith(link, WriteRefusal(verdict));
  Retire(link, verdict);
}

void GrpcCore::Close(Link& link, const absl::Status& why) {
  const std::optional<Hello> mine = hello();
  EndWith(link, WriteGoodbye(absl::UnavailableError(absl::StrCat(
                    mine.has_value() ? Describe(*mine) : "a worker", ": ", why.message()))));
  Retire(link, why);
}

void GrpcCore::EndWith(Link& link, absl::string_view last_word) {
  if (!link.live()) return;
  link.last_word = WrapFrame(last_word);
  link.phase = Link::Phase::kClosing;
  SetDeadline(link, kLinger);
  if (!link.writing) End(link);
}

void GrpcCore::End(Link& link) {
  link.phase = Link::Phase::kEnding;
  link.stream->End(std::exchange(link.last_word, std::nullopt));
}

void GrpcCore::AwaitDone(Link& link) {
  if (link.phase == Link::Phase::kEnding) return;
  link.last_word.reset();
  End(link);
  SetDeadline(link, kLinger);
}

void GrpcCore::Retire(Link& link, const absl::Status& why) {
  if (std::exchange(link.retired, true)) return;
  for (auto& lane : link.lanes) lane.clear();
  CancelDeferred(link.id);
  const absl::Status reason = link.channel->MarkClosed(why);
  if (!link.announced) return;
  // What was sent before is still in the inbox; OnClosed comes behind it.
  ++closes_to_tell_;
  Post(Closed{link.channel, reason});
}

void GrpcCore::CancelDeferred(ChannelId id) {
  for (auto it = deferred_.begin(); it != deferred_.end();) {
    if (it->second.id != id) {
      ++it;
      continue;
    }
    it->second.out.Finish(ChannelClosed());
    it = deferred_.erase(it);
  }
}

void GrpcCore::Handle(Closed& news) {
  --closes_to_tell_;
  endpoint_->OnClosed(news.channel->id(), news.why);
}

void GrpcCore::Handle(ReadEnded& news) {
  if (Link* link = Find(news.id)) AwaitDone(*link);
}

void GrpcCore::Handle(StreamDone& news) {
  Link* link = Find(news.id);
  if (link == nullptr) return;
  if (!link->retired) Retire(*link, WhyDone(*link, news.status));
  if (!link->dialled) --accepted_;
  links_.erase(news.id);
}

void GrpcCore::Handle(Stopped&) {
  stopped_ = true;
  for (auto& [id, link] : links_) Close(link, absl::CancelledError("its transport stopped"));
}

void GrpcCore::SetDeadline(Link& link, std::chrono::milliseconds from_now) {
  link.deadline = Now() + from_now;
  next_deadline_ = std::min(next_deadline_, link.deadline);
}

void GrpcCore::CheckDeadlines() {
  const Time now = Now();
  for (auto& [id, link] : links_) {
    if (link.deadline > now) continue;
    link.deadline = kNever;
    switch (link.phase) {
      case Link::Phase::kGreeting: {
        const auto limit = link.dialled ? options_.open_timeout : options_.hello_timeout;
        Refuse(link, absl::UnavailableError(
                         absl::StrCat(link.peer, ": no hello within ", limit.count(), " ms")));
        break;
      }
      case Link::Phase::kOpen:
        Close(link, absl::UnavailableError(absl::StrCat(link.peer,
                                                        " does not read: it has taken nothing for ",
                                                        options_.stall_timeout.count(), " ms")));
        break;
      case Link::Phase::kClosing:
        AwaitDone(link);
        link.stream->Cancel();
        break;
      case Link::Phase::kEnding:
        link.stream->Cancel();
        break;
    }
  }
  next_deadline_ = kNever;
  for (auto& [id, link] : links_) next_deadline_ = std::min(next_deadline_, link.deadline);
}

}  // namespace expertmesh
