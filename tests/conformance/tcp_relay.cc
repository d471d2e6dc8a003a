#include "tests/conformance/tcp_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"

namespace expertmesh {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void Reset(int socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  ::close(socket);
}

}  // namespace

TcpRelay::TcpRelay(uint16_t target_port) : target_port_(target_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "loopback has ports");
  CHECK(::listen(listener_, 16) == 0, "a bound socket listens");
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  CHECK(::pipe(wake_) == 0, "pipes are there");
  thread_ = std::thread([this] { Main(); });
}

TcpRelay::~TcpRelay() { Cut(); }

void TcpRelay::Cut() {
  if (wake_[1] < 0) return;
  ::close(wake_[1]);
  wake_[1] = -1;
  thread_.join();
  ::close(wake_[0]);
}

void TcpRelay::Main() {
  for (;;) {
    std::vector<pollfd> polled = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    for (auto [a, b] : pairs_) {
      polled.push_back({a, POLLIN, 0});
      polled.push_back({b, POLLIN, 0});
    }
    ::poll(polled.data(), polled.size(), -1);
    if (polled[0].revents != 0) break;
    for (size_t i = pairs_.size(); i-- > 0;) {
      auto [a, b] = pairs_[i];
      const bool alive = (polled[2 + 2 * i].revents == 0 || Pass(a, b)) &&
                         (polled[3 + 2 * i].revents == 0 || Pass(b, a));
      if (alive) continue;
      ::close(a);
      ::close(b);
      pairs_.erase(pairs_.begin() + static_cast<ptrdiff_t>(i));
    }
    if (polled[1].revents != 0) Accept();
  }
  ::close(listener_);
  for (auto [a, b] : pairs_) {
    Reset(a);
    Reset(b);
  }
}

void TcpRelay::Accept() {
  const int near = ::accept(listener_, nullptr, nullptr);
  if (near < 0) return;
  const int far = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(target_port_);
  if (::connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(near);
    ::close(far);
    return;
  }
  pairs_.emplace_back(near, far);
}

bool TcpRelay::Pass(int from, int to) {
  char bytes[65536];
  const ssize_t count = ::recv(from, bytes, sizeof(bytes), 0);
  if (count <= 0) return false;
  for (ssize_t done = 0; done < count;) {
    const ssize_t sent = ::send(to, bytes + done, static_cast<size_t>(count - done), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    done += sent;
  }
  return true;
}

}  // namespace expertmesh
