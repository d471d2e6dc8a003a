// socket.h: one end of a connection between two processes: what channels, links and request streams
// are made of. It never heals; each end learns that it is broken sooner or later.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "simulation/network/network.h"
#include "simulation/process.h"

namespace expertmesh::simulation {

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  Socket(Network* network, Process* owner);

  // `closed` runs in the owner's loop, once, when anybody but the owner closed it.
  using Closed = std::function<void(const absl::Status& why)>;
  void OnClosed(Closed closed) { closed_ = std::move(closed); }
  static void Join(const std::shared_ptr<Socket>& one, const std::shared_ptr<Socket>& other);

  // `deliver` runs in the peer's loop: never, once or twice, and in any order. False: never.
  bool Send(Traffic traffic, Task deliver);
  // As a stream: once and in order; what a stream cannot do breaks it.
  void SendInOrder(Traffic traffic, Task deliver);

  void Close(const absl::Status& why);  // by the owner
  void Break(const absl::Status& why);  // by the network, or the peer
  void Tear();                          // breaks, and each end notices in its own time
  void Abandon(bool silent);            // the owner is dead
  void KeepAlive(int strikes);          // one more look at the other end

  // No look at the other end: a silent peer stays unnoticed. For channels: whether a peer lives is
  // the dispatcher's to find out, not the transport's.
  void TrustPeer() { watched_ = false; }

  bool open() const { return open_; }
  bool joined() const { return joined_; }
  Process& owner() const { return *owner_; }
  HostId host() const { return owner_->identity().host; }
  HostId peer_host() const { return peer_host_; }
  void set_peer_host(HostId host) { peer_host_ = host; }

 private:
  void Arrive(const std::shared_ptr<Socket>& peer, Task deliver);
  void TellPeer(const absl::Status& why);

  Network* network_;
  Process* owner_;
  HostId peer_host_ = 0;
  std::weak_ptr<Socket> peer_;
  bool open_ = true;
  bool joined_ = false;
  bool watched_ = true;
  int strikes_ = 0;
  Time last_arrival_{};  // of the stream, at the peer
  Closed closed_;
};

}  // namespace expertmesh::simulation
