// worker_loop.h: a worker's protocol as one object (WorkerNode), and the thread that runs it.
//
// A node is sans-IO: it has no thread, socket, clock or random source. WorkerLoop gives it one
// control thread, which owns all its state; links, transports and streams post to that thread.
// simulation/ calls the same node methods itself, in virtual time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "cluster/control_link.h"
#include "common/clock.h"
#include "common/mailbox.h"
#include "transport/channel.h"

namespace expertmesh {

// What happens to a worker. Every call tells the time; a node never asks for it.
class WorkerNode {
 public:
  virtual ~WorkerNode() = default;
  virtual void Start(Time now) = 0;

  // From control (cluster/control_link.h).
  virtual void OnLinkUp(Time now) = 0;
  virtual void OnCommand(const Command& command, Time now) = 0;
  virtual void OnLinkDown(const absl::Status& why, Time now) = 0;

  // From the transport (transport/channel.h).
  virtual void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer, Time now) = 0;
  virtual void OnMessage(ChannelId channel, Message message, Time now) = 0;
  virtual void OnClosed(ChannelId channel, const absl::Status& why, Time now) = 0;
  // The memory of the rows sent with `token` may be reused.
  virtual void OnSent(uint64_t token, Time now) = 0;

  // From the compute half: what was asked to be told with `token` is done.
  virtual void OnComputed(uint64_t token, Time now) = 0;

  // At or after NextWakeup, and after every batch of events.
  virtual void Tick(Time now) = 0;
  virtual Time NextWakeup() const = 0;
};

// What a node asks of its surroundings besides its link and its transport.
class NodeHost {
 public:
  virtual ~NodeHost() = default;
  // A `sent` callback that leads to OnSent(token).
  virtual SentCallback SentToken(uint64_t token) = 0;
  // This life is over: fenced, or it cannot go on. Called once.
  virtual void Exit(const absl::Status& why) = 0;
};

// Who may open a channel to this worker; asked on the transport's thread.
using PeerJudge = std::function<absl::Status(const Hello&)>;

class WorkerLoop final : public Endpoint,
                         public ControlLinkListener,
                         public Notifier,
                         public NodeHost {
 public:
  WorkerLoop(PeerJudge judge, std::function<void(absl::Status)> on_exit);
  ~WorkerLoop() override;

  // Starts the thread. `node` outlives Stop.
  void Start(WorkerNode* node);
  // Runs `task(now)` on the control thread; false when the loop has stopped (it is dropped). What
  // is taken is run, be it after StopAfter's last.
  bool Post(std::function<void(Time)> task);
  // Runs `last(now)` on the control thread, then joins it; later posts are dropped. Idempotent.
  void StopAfter(std::function<void(Time)> last);
  void Stop() {
    StopAfter([](Time) {});
  }

  // Endpoint, ControlLinkListener, Notifier: any thread; they post.
  absl::Status Judge(const Hello& peer) override { return judge_(peer); }
  void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) override;
  void OnMessage(ChannelId channel, Message message) override;
  void OnClosed(ChannelId channel, absl::Status why) override;
  void OnLinkUp() override;
  void OnCommand(Command command) override;
  void OnLinkDown(absl::Status why) override;
  void OnPassed(uint64_t token) override;

  SentCallback SentToken(uint64_t token) override;
  void Exit(const absl::Status& why) override;

 private:
  struct Opened {
    std::shared_ptr<Channel> channel;
    Hello peer;
  };
  struct Arrived {
    ChannelId channel;
    Message message;
  };
  struct Closed {
    ChannelId channel;
    absl::Status why;
  };
  struct LinkUp {};
  struct LinkDown {
    absl::Status why;
  };
  struct Sent {
    uint64_t token;
  };
  struct Computed {
    uint64_t token;
  };
  using Event = std::variant<Arrived, Sent, Computed, Opened, Closed, LinkUp, Command, LinkDown,
                             std::function<void(Time)>>;

  void Main();
  void Handle(Event& event, Time now);

  PeerJudge judge_;
  std::function<void(absl::Status)> on_exit_;
  WorkerNode* node_ = nullptr;
  Mailbox<Event> mailbox_;
  bool stop_ = false;  // the control thread's
  std::thread thread_;
};

}  // namespace expertmesh
