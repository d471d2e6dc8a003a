// local_core.h: a transport's thread: it runs all callbacks, in the order of its inbox.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/mailbox.h"
#include "transport/channel.h"
#include "transport/local/local_pipe.h"
#include "transport/outgoing.h"
#include "transport/ready_gate.h"

namespace expertmesh {

class LocalCore : public std::enable_shared_from_this<LocalCore> {
 public:
  // What comes into the inbox.
  struct Dialling {  // we have opened this channel
    ChannelId id;
    std::shared_ptr<Channel> channel;
    std::shared_ptr<LocalPipe> pipe;
    PeerExpectation expected;
  };
  struct Dialled {  // somebody opens a channel to us
    std::shared_ptr<LocalPipe> pipe;
    Hello hello;
  };
  struct Answered {
    ChannelId id;
    Hello hello;
  };
  struct Arrived {
    ChannelId id;
    Message message;
  };
  struct Sent {
    SentCallback callback;
  };
  struct Waiting {  // for its rows, until Passed(token)
    ChannelId id;
    uint64_t token;
    Outgoing out;
  };
  struct Passed {
    uint64_t token;
  };
  struct Closed {
    ChannelId id;
    absl::Status why;
  };
  struct Stopped {};
  using News =
      std::variant<Dialling, Dialled, Answered, Arrived, Sent, Waiting, Passed, Closed, Stopped>;

  LocalCore(std::string address, Endpoint* endpoint);
  void Start();
  void Stop();

  bool Post(News news) { return inbox_.Post(std::move(news)); }
  // Somebody's first news. False once we stop: later news of a pipe only follow an accepted first.
  bool Dial(std::shared_ptr<LocalPipe> pipe, const Hello& hello);
  std::shared_ptr<Channel> Open(const std::shared_ptr<LocalCore>& target, absl::string_view address,
                                const PeerExpectation& expected);
  void SetHello(const Hello& mine);

  // For the pipe: a number for a deferred message, and its Passed once `ready` has passed.
  uint64_t NextToken() { return next_token_.fetch_add(1); }
  void Await(Event ready, uint64_t token) { gate_->Await(ready, token); }

  const std::string& address() const { return address_; }
  // "expert worker e0 (3#5)", or the address before there is a hello.
  std::string Who() const;

 private:
  struct Entry {
    std::shared_ptr<Channel> channel;
    std::shared_ptr<LocalPipe> pipe;
    int side = 0;
    PeerExpectation expected;  // of a dialler
  };
  struct Deferred {
    ChannelId id;
    Outgoing out;
  };

  void Main();
  void Handle(Dialling& news);
  void Handle(Dialled& news);
  void Handle(Answered& news);
  void Handle(Arrived& news);
  void Handle(Sent& news) { news.callback(absl::OkStatus()); }
  void Handle(Waiting& news);
  void Handle(Passed& news);
  void Handle(Closed& news);
  void Handle(Stopped& news);
  absl::Status JudgeDialler(const Hello& theirs);
  std::optional<Hello> hello() const;

  const std::string address_;
  Endpoint* const endpoint_;
  Mailbox<News> inbox_;
  const std::shared_ptr<ReadyGate> gate_;
  std::atomic<ChannelId> next_id_{1};
  std::atomic<uint64_t> next_token_{1};

  mutable Mutex mutex_;
  std::optional<Hello> hello_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the thread alone.
  std::unordered_map<ChannelId, Entry> entries_;
  std::unordered_map<uint64_t, Deferred> deferred_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace expertmesh
