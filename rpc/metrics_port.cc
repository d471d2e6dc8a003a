#include "rpc/metrics_port.h"

#include <arpa/inet.h>
#include <prometheus/exposer.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "rpc/address.h"

namespace expertmesh {
namespace {

// The HTTP server binds numeric addresses only.
absl::StatusOr<Address> NumericAddress(const std::string& listen) {
  ASSIGN_OR_RETURN(Address address, ParseAddress(listen));
  if (!address.is_unix && address.host == "localhost") address.host = "127.0.0.1";
  unsigned char bytes[16];
  if (address.is_unix || (inet_pton(AF_INET, address.host.c_str(), bytes) != 1 &&
                          inet_pton(AF_INET6, address.host.c_str(), bytes) != 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics cannot be served on ", listen,
                     "; expected IPv4:PORT, [IPv6]:PORT or localhost:PORT"));
  }
  return address;
}

}  // namespace

absl::Status CheckMetricsAddress(const std::string& listen, bool allow_insecure_listen) {
  RETURN_IF_ERROR(CheckListenAddress(listen, allow_insecure_listen));
  return NumericAddress(listen).status();
}

MetricsPort::MetricsPort(std::shared_ptr<prometheus::Collectable> metrics,
                         std::unique_ptr<prometheus::Exposer> exposer, std::string address)
    : metrics_(std::move(metrics)), exposer_(std::move(exposer)), address_(std::move(address)) {}

MetricsPort::~MetricsPort() = default;

absl::StatusOr<std::unique_ptr<MetricsPort>> MetricsPort::Start(
    const std::string& listen, bool allow_insecure_listen,
    std::shared_ptr<prometheus::Collectable> metrics) {
  RETURN_IF_ERROR(CheckMetricsAddress(listen, allow_insecure_listen));
  ASSIGN_OR_RETURN(Address address, NumericAddress(listen));
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    exposer = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", ToString(address), "num_threads", "2"});
  } catch (const std::exception&) {  // it does not say why
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", listen,
                                               ": it is taken, or not an address of this machine"));
  }
  exposer->RegisterCollectable(metrics);
  address.port = exposer->GetListeningPorts().front();
  return std::unique_ptr<MetricsPort>(
      new MetricsPort(std::move(metrics), std::move(exposer), ToString(address)));
}

}  // namespace expertmesh
