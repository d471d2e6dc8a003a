// net.h: a network of hosts on this machine, each with an address of its own, whose cables can be
// pulled and whose packets can get lost.
//
// A host is a network namespace with a veth pair to a bridge; the bridge is in a namespace of this
// process, where the client is a host of its own. Nothing of it has a name outside: when the
// process and its children are gone, so is the network. It takes root or user namespaces, and
// iproute2; loss takes nftables as well. Where that cannot be had, hosts are addresses of loopback,
// which have neither cables nor loss.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace expertmesh::chaos {

// Threads: one; children that live in the network die with it.
class Net {
 public:
  // Call it before this process has a second thread: all of them are to be in the network. With
  // `loopback`, or where nothing else can be had, hosts are on loopback; shortcomings() says why.
  static std::unique_ptr<Net> Make(bool loopback);
  ~Net();
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;

  // The host's address, without a port. At most 200 hosts.
  absl::StatusOr<std::string> AddHost(const std::string& name);
  // What makes a child live on that host (Process::Start's in_child). The child dies with the
  // thread that starts it.
  std::function<void()> EnterHost(const std::string& name) const;

  // The host's cable: its interface loses its carrier, its addresses stay.
  absl::Status SetCable(const std::string& name, bool plugged);
  // Each packet to or from the host is lost with this probability; 0: none.
  absl::Status SetLoss(const std::string& name, int percent);

  bool isolated() const { return isolated_; }
  bool can_lose() const { return can_lose_; }
  // For people: what this machine does not give, and why. Empty: nothing is missing.
  const std::string& shortcomings() const { return shortcomings_; }

 private:
  struct Host {
    int number = 0;
    int space = -1;  // the namespace; -1: this process's
  };
  Net() = default;
  absl::Status Isolate();
  absl::Status Connect(const std::string& name, const Host& host);
  std::string AddressOf(const Host& host) const;

  bool isolated_ = false;
  bool can_lose_ = false;
  std::string shortcomings_;
  std::map<std::string, Host> hosts_;
};

}  // namespace expertmesh::chaos
