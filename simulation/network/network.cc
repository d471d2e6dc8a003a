#include "simulation/network/network.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "simulation/network/socket.h"

namespace expertmesh::simulation {
namespace {

constexpr Duration kShortestDelay = std::chrono::microseconds(20);
constexpr Duration kLongestDelay = std::chrono::microseconds(400);
constexpr Duration kDialTimeoutLeast = std::chrono::seconds(1);
constexpr Duration kDialTimeoutMost = std::chrono::seconds(4);
constexpr Duration kKeepAlivePeriod = std::chrono::seconds(1);
constexpr int kKeepAliveStrikes = 5;

}  // namespace

Network::Network(World* world) : world_(world) {
  world_->events.After(kKeepAlivePeriod, [this] { KeepAlive(); });
}

HostId Network::HostOf(const std::string& name) {
  const auto found = std::find(host_names_.begin(), host_names_.end(), name);
  if (found != host_names_.end()) return static_cast<HostId>(found - host_names_.begin());
  host_names_.push_back(name);
  return static_cast<HostId>(host_names_.size() - 1);
}

void Network::Listen(Process* process) {
  const ProcessIdentity& who = process->identity();
  listeners_[who.address] = process;
  address_hosts_[who.address] = who.host;
  dark_.erase(who.address);
}

void Network::Leave(Process* process, bool silent) {
  const std::string& address = process->identity().address;
  auto found = listeners_.find(address);
  if (found == listeners_.end() || found->second != process) return;
  listeners_.erase(found);
  if (silent) dark_.insert(address);
}

bool Network::Blocked(HostId from, HostId to) const {
  auto found = blocked_.find({from, to});
  return found != blocked_.end() && found->second > 0;
}

void Network::Unblock(HostId from, HostId to) {
  int& count = blocked_[{from, to}];
  if (count > 0) --count;
}

void Network::Heal() {
  blocked_.clear();
  quality_.fill(Quality());
  stale_ = 0;
}

Duration Network::DrawDelay() {
  return world_->network_chance.Skewed(kShortestDelay, kLongestDelay);
}

Network::Fate Network::DrawFate(HostId from, HostId to, Traffic traffic) {
  const Quality& quality = this->quality(traffic);
  Random& chance = world_->network_chance;
  Fate fate;
  if (Blocked(from, to) || chance.Chance(quality.loss)) return fate;
  fate.copies = chance.Chance(quality.duplicate) ? 2 : 1;
  for (int i = 0; i < fate.copies; ++i) {
    fate.delay[i] = chance.Chance(quality.slow) ? chance.Skewed(kShortestDelay, quality.slow_most)
                                                : DrawDelay();
  }
  return fate;
}

void Network::SendPacket(HostId from, HostId to, Task arrive) {
  if (Blocked(from, to)) return;
  world_->events.After(DrawDelay(), std::move(arrive));
}

void Network::Dial(const std::shared_ptr<Socket>& mine, const std::string& address, Accept accept) {
  auto host = address_hosts_.find(address);
  const HostId from = mine->host();
  const HostId to = host == address_hosts_.end() ? from : host->second;
  mine->set_peer_host(to);
  Watch(mine);
  SendPacket(from, to, [this, mine, address, from, to, accept = std::move(accept)] {
    if (!mine->open() || Dark(address)) return;
    auto listener = listeners_.find(address);
    if (listener == listeners_.end()) {
      SendPacket(to, from, [mine, address] {
        mine->Break(absl::UnavailableError(absl::StrCat("nobody is at ", address)));
      });
      return;
    }
    Process* process = listener->second;
    auto theirs = std::make_shared<Socket>(this, process);
    theirs->set_peer_host(from);
    Socket::Join(mine, theirs);
    Watch(theirs);
    process->Post([process, theirs, accept] { accept(*process, theirs); });
  });
  const Duration timeout = world_->network_chance.Between(kDialTimeoutLeast, kDialTimeoutMost);
  world_->events.After(timeout, [weak = std::weak_ptr<Socket>(mine), address] {
    std::shared_ptr<Socket> socket = weak.lock();
    if (socket == nullptr || socket->joined()) return;
    socket->Break(absl::UnavailableError(absl::StrCat("no answer from ", address)));
  });
}

void Network::Watch(const std::shared_ptr<Socket>& socket) { sockets_.push_back(socket); }

void Network::BreakBetween(HostId one, HostId other) {
  for (const std::weak_ptr<Socket>& weak : std::vector(sockets_)) {
    std::shared_ptr<Socket> socket = weak.lock();
    if (socket == nullptr || !socket->open()) continue;
    const bool between = (socket->host() == one && socket->peer_host() == other) ||
                         (socket->host() == other && socket->peer_host() == one);
    if (between) socket->Tear();
  }
}

// Finds connections whose other end is gone or cannot be heard, as TCP and gRPC do.
void Network::KeepAlive() {
  std::erase_if(sockets_, [](const std::weak_ptr<Socket>& weak) {
    std::shared_ptr<Socket> socket = weak.lock();
    return socket == nullptr || !socket->open();
  });
  for (const std::weak_ptr<Socket>& weak : std::vector(sockets_)) {
    if (std::shared_ptr<Socket> socket = weak.lock()) socket->KeepAlive(kKeepAliveStrikes);
  }
  world_->events.After(kKeepAlivePeriod, [this] { KeepAlive(); });
}

}  // namespace expertmesh::simulation
