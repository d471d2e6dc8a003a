// network.h: what lies between the processes: delay, and whatever else the faults of a run make of
// it. It carries closures: what a packet does is run in its receiver's loop.
//
// Handshakes, goodbyes and resets are lost only in a partition (a kernel sends them again);
// messages suffer what the quality of their traffic says.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "simulation/network/limbo.h"
#include "simulation/process.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

// Handshakes are never disturbed but by partitions.
enum class Traffic { kData, kControl, kClient, kHandshake };

// What may become of a message. The default: it arrives, soon.
struct Quality {
  double loss = 0;
  double duplicate = 0;
  double slow = 0;  // takes up to slow_most, and so is overtaken
  Duration slow_most{};
  double stale = 0;      // data: a message of an earlier channel comes out of this one
  double broken = 0;     // streams: the connection breaks instead
  bool reorder = false;  // control: links give up their order
};

class Network {
 public:
  explicit Network(World* world);

  HostId HostOf(const std::string& name);
  const std::string& NameOf(HostId host) const { return host_names_[host]; }

  // Who is dialled at an address. After a silent death nobody answers there, not even a kernel.
  void Listen(Process* process);
  void Leave(Process* process, bool silent);

  Quality& quality(Traffic traffic) { return quality_[static_cast<size_t>(traffic)]; }
  // From `from` to `to` nothing passes. Counted: each Block wants its Unblock.
  void Block(HostId from, HostId to) { ++blocked_[{from, to}]; }
  void Unblock(HostId from, HostId to);
  bool Blocked(HostId from, HostId to) const;
  // Everything passes, and is as it should be; what a fault still undoes later does no harm.
  void Heal();

  // When copies of one message arrive: none when it is lost, two when it is doubled.
  struct Fate {
    int copies = 0;
    std::array<Duration, 2> delay{};
  };
  Fate DrawFate(HostId from, HostId to, Traffic traffic);
  Duration DrawDelay();
  // Runs `arrive` there after a delay, unless the way is blocked now.
  void SendPacket(HostId from, HostId to, Task arrive);

  // Connects `mine` to the process at `address`: `accept` runs in its loop, with its end. If nobody
  // is there, or nothing comes back, `mine` breaks with UNAVAILABLE.
  using Accept = std::function<void(Process& process, const std::shared_ptr<Socket>& theirs)>;
  void Dial(const std::shared_ptr<Socket>& mine, const std::string& address, Accept accept);

  // Whether the host behind this address is without power.
  bool Dark(const std::string& address) const { return dark_.contains(address); }
  void Watch(const std::shared_ptr<Socket>& socket);
  // Breaks all connections between two hosts; each end notices in its own time.
  void BreakBetween(HostId one, HostId other);

  // Numbers channels as they are dialled, over the whole network.
  uint64_t NextConnection() { return next_connection_++; }

  // From now on messages are kept, to come again as stale ones.
  void KeepMessages() { keeps_messages_ = true; }
  bool keeps_messages() const { return keeps_messages_; }
  // How likely a message brings a stale one with it.
  void set_stale(double probability) { stale_ = probability; }
  double stale() const { return stale_; }

  World& world() { return *world_; }
  Limbo& limbo() { return limbo_; }

 private:
  void KeepAlive();

  World* world_;
  Limbo limbo_;
  bool keeps_messages_ = false;
  double stale_ = 0;
  uint64_t next_connection_ = 1;
  std::array<Quality, 4> quality_;
  std::vector<std::string> host_names_;
  std::map<std::pair<HostId, HostId>, int> blocked_;
  std::map<std::string, Process*> listeners_;
  std::map<std::string, HostId> address_hosts_;
  std::set<std::string> dark_;
  std::vector<std::weak_ptr<Socket>> sockets_;
};

}  // namespace expertmesh::simulation
