// sim_transport.h: the channel contract (transport/channel.h) over the simulated network.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "simulation/network/network.h"
#include "simulation/network/socket.h"
#include "transport/channel.h"
#include "transport/outgoing.h"

namespace expertmesh::simulation {

class SimTransport;

// One end of a channel. Rows are read some time after Send, just before `sent` runs: whoever reuses
// them too early sends something else.
class SimChannel final : public Channel, public std::enable_shared_from_this<SimChannel> {
 public:
  SimChannel(SimTransport* transport, ChannelId id, std::shared_ptr<Socket> socket,
             uint64_t connection);

  ChannelId id() const override { return id_; }
  absl::Status Send(const MessageHeader& header, const Body& body, Event ready,
                    SentCallback sent) override;
  void Close(absl::Status why) override;

 private:
  friend class SimTransport;
  enum class State { kOpening, kOpen, kClosed };

  // A message between Send and `sent`.
  struct Queued {
    Outgoing out;
    uint64_t rows_hash = 0;  // when Send was called
  };
  using QueuedPtr = std::shared_ptr<Queued>;

  // Its time has come: the rows are read, and it goes.
  void Leave(const QueuedPtr& queued);
  // rows_untouched_until_sent
  void GiveBack(Queued& queued, absl::Status fate);
  // In this end's loop: a message for its endpoint.
  void Arrive(const StoredMessage& message);
  // What the network makes of a message besides delivering it (limbo.h).
  void Disturb(const StoredMessagePtr& message);
  void Inject(const std::shared_ptr<SimChannel>& end, StoredMessagePtr stale);
  // silence_is_noticed: while calls are out, a peer that cannot be heard loses its channel.
  void CheckSilence();
  // The last that happens: the queued ones' `sent`, then OnClosed.
  void Finish(const absl::Status& why);

  SimTransport* transport_;
  const ChannelId id_;
  std::shared_ptr<Socket> socket_;
  const uint64_t connection_;  // grows from one channel of the whole network to the next
  std::weak_ptr<SimChannel> peer_;
  State state_ = State::kOpening;
  bool finished_ = false;
  std::vector<QueuedPtr> queued_;
  int in_flight_ = 0;             // not taken by the peer
  std::set<uint64_t> calls_out_;  // dispatches without a combine yet, by their sequences
  Time unheard_since_ = kNever;   // with calls out
};

class SimTransport final : public Transport {
 public:
  // The endpoint is called in the process's loop.
  SimTransport(Network* network, Process* process, Endpoint* endpoint);
  ~SimTransport() override;

  std::shared_ptr<Channel> Open(absl::string_view address,
                                const PeerExpectation& expected) override;
  void SetHello(const Hello& mine) override { hello_ = mine; }
  void Stop() override {}  // a simulated process is never taken apart: it dies

 private:
  friend class SimChannel;
  struct Dialling {
    std::shared_ptr<SimChannel> channel;
    Hello hello;
    PeerExpectation expected;
  };
  void OnDialled(const std::shared_ptr<Socket>& socket, const Dialling& dialling);
  void OnAnswered(const Dialling& dialling, const Hello& theirs);
  void GiveUpLater(const std::shared_ptr<SimChannel>& channel);
  absl::Status Judge(const Hello& theirs) const;
  void Watch(const std::shared_ptr<SimChannel>& channel);
  void Patrol();

  Network* network_;
  Process* process_;
  Endpoint* endpoint_;
  std::optional<Hello> hello_;
  ChannelId next_id_ = 1;
  std::map<ChannelId, std::shared_ptr<SimChannel>> channels_;  // not closed yet
};

}  // namespace expertmesh::simulation
