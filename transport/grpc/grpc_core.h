// grpc_core.h: the thread that decides. Roles, gRPC's reactions and streams of a device post news
// to its inbox; it alone owns the links, starts operations on streams, frames messages and runs all
// callbacks, so none of that needs a lock.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/mailbox.h"
#include "transport/grpc/frame_stream.h"
#include "transport/grpc/grpc_channel.h"
#include "transport/grpc/grpc_transport.h"
#include "transport/grpc/link.h"
#include "transport/outgoing.h"
#include "transport/ready_gate.h"

namespace expertmesh {

class GrpcCore final : public FrameSink, public std::enable_shared_from_this<GrpcCore> {
 public:
  // From roles.
  struct Dialled {
    std::shared_ptr<GrpcChannel> channel;
    std::string address;
    PeerExpectation expected;
    Hello hello;
  };
  struct Submitted {
    ChannelId id;
    uint64_t token;  // 0: its rows are there
    size_t frame_bytes;
    Outgoing out;
  };
  struct Passed {
    uint64_t token;
  };
  struct CloseAsked {
    ChannelId id;
  };
  struct Stopped {};
  // From streams.
  struct LastWord {  // a refusal or goodbye
    absl::Status why;
  };
  using Frame = std::variant<Message, Hello, LastWord>;
  struct Accepted {
    std::shared_ptr<AcceptedStream> stream;
  };
  struct Arrived {
    ChannelId id;
    absl::StatusOr<Frame> frame;
  };
  struct ReadEnded {
    ChannelId id;
  };
  struct Written {
    ChannelId id;
    bool ok;
  };
  struct StreamDone {
    ChannelId id;
    grpc::Status status;
    std::shared_ptr<FrameStream> stream;
  };
  // To itself: behind all other news of the channel.
  struct Closed {
    std::shared_ptr<GrpcChannel> channel;
    absl::Status why;
  };
  using News = std::variant<Dialled, Submitted, Passed, CloseAsked, Stopped, Accepted, Arrived,
                            ReadEnded, Written, StreamDone, Closed>;

  GrpcCore(Endpoint* endpoint, GrpcTransportOptions options);
  ~GrpcCore() override;
  void Start();
  void Stop();

  void Post(News news) { inbox_.Post(std::move(news)); }
  void SetHello(const Hello& mine);
  std::shared_ptr<Channel> Open(absl::string_view address, const PeerExpectation& expected);
  // A call has come in: its reactor, which is gRPC's from here on.
  AcceptedStream* Accept(grpc::CallbackServerContext* context);

  uint64_t NextToken() { return next_token_.fetch_add(1); }
  void Await(Event ready, uint64_t token) { gate_->Await(ready, token); }

  void OnFrame(ChannelId id, grpc::ByteBuffer& frame) override;
  void OnReadEnded(ChannelId id) override { Post(ReadEnded{id}); }
  void OnWritten(ChannelId id, bool ok) override { Post(Written{id, ok}); }
  void OnStreamDone(ChannelId id, const grpc::Status& status,
                    std::shared_ptr<FrameStream> stream) override {
    Post(StreamDone{id, status, std::move(stream)});
  }

 private:
  struct Deferred {
    ChannelId id;
    size_t frame_bytes;
    Outgoing out;
  };

  void Main();
  void Handle(Dialled& news);
  void Handle(Submitted& news);
  void Handle(Passed& news);
  void Handle(CloseAsked& news);
  void Handle(Stopped& news);
  void Handle(Accepted& news);
  void Handle(Arrived& news);
  void Handle(ReadEnded& news);
  void Handle(Written& news);
  void Handle(StreamDone& news);
  void Handle(Closed& news);

  void OnHello(Link& link, const Hello& theirs);
  absl::Status JudgeDialler(const Hello& theirs);
  void Opened(Link& link, const Hello& theirs);

  void Queue(Link& link, Outgoing& out, size_t frame_bytes);
  void WriteNext(Link& link);
  // Both retire the link and end its stream with a last word to the peer, who has kLinger to hear
  // it: that it is refused, or that we go.
  void Refuse(Link& link, const absl::Status& verdict);
  void Close(Link& link, const absl::Status& why);
  void EndWith(Link& link, absl::string_view last_word);
  void End(Link& link);
  // The stream is over or of no use any more: why will be known from StreamDone.
  void AwaitDone(Link& link);
  // The end as the role sees it: nothing is sent any more, and OnClosed follows.
  void Retire(Link& link, const absl::Status& why);
  void CancelDeferred(ChannelId id);

  Link* Find(ChannelId id);
  void SetDeadline(Link& link, std::chrono::milliseconds from_now);
  void CheckDeadlines();
  std::optional<Hello> hello() const;
  std::shared_ptr<grpc::Channel> Connect(const std::string& address) const;

  Endpoint* const endpoint_;
  const GrpcTransportOptions options_;
  Mailbox<News> inbox_;
  const std::shared_ptr<ReadyGate> gate_;
  std::atomic<ChannelId> next_id_{1};
  std::atomic<uint64_t> next_token_{1};

  mutable Mutex mutex_;
  std::optional<Hello> hello_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the thread alone.
  std::unordered_map<ChannelId, Link> links_;  // until StreamDone
  std::unordered_map<uint64_t, Deferred> deferred_;
  size_t accepted_ = 0;        // links that are not dialled
  size_t closes_to_tell_ = 0;  // Closed in the inbox
  Time next_deadline_ = kNever;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace expertmesh
