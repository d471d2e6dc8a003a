// sim_transport.h: the channel contract (transport/channel.h) over the simulated network.
#pragma once

#include <map>
#include <memory>
#include <optional>
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

  // Its time has come: the rows are read, and it goes.
  void Leave(const std::shared_ptr<Outgoing>& out);
  // In this end's loop: a message for its endpoint.
  void Arrive(const StoredMessage& message);
  // What the network makes of a message besides delivering it (limbo.h).
  void Disturb(const StoredMessagePtr& message);
  void Inject(const std::shared_ptr<SimChannel>& end, StoredMessagePtr stale);
  // The last that happens: the queued ones' `sent`, then OnClosed.
  void Finish(const absl::Status& why);

  SimTransport* transport_;
  const ChannelId id_;
  std::shared_ptr<Socket> socket_;
  const uint64_t connection_;  // grows from one channel of the whole network to the next
  std::weak_ptr<SimChannel> peer_;
  State state_ = State::kOpening;
  bool finished_ = false;
  std::vector<std::shared_ptr<Outgoing>> queued_;  // Send has been called, `sent` has not
  int in_flight_ = 0;                              // not taken by the peer
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

  Network* network_;
  Process* process_;
  Endpoint* endpoint_;
  std::optional<Hello> hello_;
  ChannelId next_id_ = 1;
  std::map<ChannelId, std::shared_ptr<SimChannel>> channels_;  // not closed yet
};

}  // namespace expertmesh::simulation
