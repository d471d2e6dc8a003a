// tcp_relay.h: a cable between two processes' sockets on loopback that a test can cut.
#pragma once

#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace expertmesh {

// Listens on a port of its own and passes bytes on to another one, both ways, from one thread.
class TcpRelay {
 public:
  explicit TcpRelay(uint16_t target_port);
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  uint16_t port() const { return port_; }
  // Resets every connection, in the middle of whatever passes, and listens no more. Once.
  void Cut();

 private:
  void Main();
  void Accept();
  // Passes on what there is; false when the connection is over.
  static bool Pass(int from, int to);

  const uint16_t target_port_;
  uint16_t port_ = 0;
  int listener_ = -1;
  int wake_[2] = {-1, -1};                  // a pipe: its writing end is closed to cut
  std::vector<std::pair<int, int>> pairs_;  // of the thread
  std::thread thread_;
};

}  // namespace expertmesh
