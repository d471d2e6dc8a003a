#include "simulation/network/socket.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh::simulation {
namespace {

// How long an end may take to notice that its connection is broken.
constexpr Duration kLongestSilence = std::chrono::seconds(4);

}  // namespace

Socket::Socket(Network* network, Process* owner) : network_(network), owner_(owner) {}

void Socket::Join(const std::shared_ptr<Socket>& one, const std::shared_ptr<Socket>& other) {
  one->peer_ = other;
  other->peer_ = one;
  one->joined_ = other->joined_ = true;
  other->owner_->Adopt(other);
}

bool Socket::Send(Traffic traffic, Task deliver) {
  std::shared_ptr<Socket> peer = peer_.lock();
  if (!open_ || peer == nullptr) return false;
  const Network::Fate fate = network_->DrawFate(host(), peer_host_, traffic);
  for (int i = 0; i < fate.copies; ++i) {
    network_->world().events.After(
        fate.delay[i], [self = shared_from_this(), peer, deliver] { self->Arrive(peer, deliver); });
  }
  return fate.copies > 0;
}

void Socket::SendInOrder(Traffic traffic, Task deliver) {
  std::shared_ptr<Socket> peer = peer_.lock();
  if (!open_ || peer == nullptr) return;
  World& world = network_->world();
  const bool broken = world.network_chance.Chance(network_->quality(traffic).broken);
  Network::Fate fate = network_->DrawFate(host(), peer_host_, traffic);
  if (broken || fate.copies == 0) {
    Tear();
    last_arrival_ = kNever;  // nothing more gets through
    return;
  }
  if (last_arrival_ == kNever) return;
  last_arrival_ = std::max(last_arrival_, world.events.now() + fate.delay[0]);
  world.events.At(last_arrival_, [self = shared_from_this(), peer, deliver = std::move(deliver)] {
    self->Arrive(peer, deliver);
  });
}

void Socket::Arrive(const std::shared_ptr<Socket>& peer, Task deliver) {
  if (peer->open_) {
    peer->owner_->Post(std::move(deliver));
    return;
  }
  if (!open_ || network_->Dark(peer->owner_->identity().address)) return;
  network_->SendPacket(peer_host_, host(), [self = shared_from_this()] {
    self->Break(absl::UnavailableError("connection reset by peer"));
  });
}

void Socket::Close(const absl::Status& why) {
  if (!open_) return;
  open_ = false;
  closed_ = nullptr;
  TellPeer(absl::UnavailableError(
      absl::StrCat("closed by peer: ", owner_->label(), ": ", why.message())));
}

void Socket::TellPeer(const absl::Status& why) {
  std::shared_ptr<Socket> peer = peer_.lock();
  if (peer == nullptr) return;
  // Behind what a stream has sent: a goodbye does not overtake it.
  const Time now = network_->world().events.now();
  const Time after = last_arrival_ == kNever ? now : std::max(now, last_arrival_);
  network_->SendPacket(host(), peer_host_, [this_network = network_, peer, after, why] {
    this_network->world().events.At(after, [peer, why] { peer->Break(why); });
  });
}

void Socket::Break(const absl::Status& why) {
  if (!open_) return;
  open_ = false;
  Closed closed = std::exchange(closed_, nullptr);
  if (closed != nullptr) owner_->Post([closed, why] { closed(why); });
}

void Socket::Tear() {
  World& world = network_->world();
  for (const std::shared_ptr<Socket>& end : {shared_from_this(), peer_.lock()}) {
    if (end == nullptr) continue;
    world.events.After(world.network_chance.Skewed(Duration(0), kLongestSilence),
                       [end] { end->Break(absl::UnavailableError("the connection broke")); });
  }
}

void Socket::Abandon(bool silent) {
  if (!open_) return;
  open_ = false;
  closed_ = nullptr;
  if (!silent) TellPeer(absl::UnavailableError("connection reset by peer"));
}

void Socket::KeepAlive(int strikes) {
  if (!open_ || !joined_ || !watched_) return;
  std::shared_ptr<Socket> peer = peer_.lock();
  const bool heard = peer != nullptr && peer->open_ && !network_->Blocked(host(), peer_host_) &&
                     !network_->Blocked(peer_host_, host());
  strikes_ = heard ? 0 : strikes_ + 1;
  if (strikes_ >= strikes) Break(absl::UnavailableError("keepalive: the peer is silent"));
}

}  // namespace expertmesh::simulation
