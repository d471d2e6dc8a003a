// metrics_port.h: what a process counts, for Prometheus: GET /metrics on a port of its own.
#pragma once

#include <prometheus/collectable.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace prometheus {
class Exposer;
}

namespace expertmesh {

// Serves from construction to destruction, on threads of its own.
class MetricsPort {
 public:
  // `listen` is HOST:PORT or [IPv6]:PORT; the host is an address or "localhost", port 0 takes any
  // free one. What is scraped comes from `metrics`, which is asked on this port's threads.
  // Errors  as CheckListenAddress; INVALID_ARGUMENT: unix: or a host name; UNAVAILABLE: the address
  //         cannot be bound.
  static absl::StatusOr<std::unique_ptr<MetricsPort>> Start(
      const std::string& listen, bool allow_insecure_listen,
      std::shared_ptr<prometheus::Collectable> metrics);
  ~MetricsPort();

  // What was bound, with the real port: "127.0.0.1:41231".
  const std::string& address() const { return address_; }

 private:
  MetricsPort(std::shared_ptr<prometheus::Collectable> metrics,
              std::unique_ptr<prometheus::Exposer> exposer, std::string address);

  const std::shared_ptr<prometheus::Collectable> metrics_;  // the exposer keeps a weak pointer
  std::unique_ptr<prometheus::Exposer> exposer_;
  const std::string address_;
};

// OK, or the same errors without binding: for flags.
absl::Status CheckMetricsAddress(const std::string& listen, bool allow_insecure_listen);

}  // namespace expertmesh
