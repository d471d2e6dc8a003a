// address.h: where a program listens, and what it may listen on without TLS.
//
// An address is "host:port", "[IPv6]:port" or "unix:PATH".
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

struct Address {
  std::string host;  // without brackets; the path of unix:
  int port = 0;      // 0 to 65535
  bool is_unix = false;
};

// Errors  INVALID_ARGUMENT: none of the three forms.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// "host:port", "[IPv6]:port" or "unix:PATH".
std::string ToString(const Address& address);

// 127.0.0.0/8, ::1, localhost, unix:. Anything else can be reached from other machines, or cannot
// be told apart from what can.
bool IsLoopback(const Address& address);

// Whether a plain-text server may listen there. `allow_insecure` is the flag
// --allow-insecure-listen: the operator's word that others cannot reach the port.
// Errors  INVALID_ARGUMENT: not an address. FAILED_PRECONDITION: not loopback, and not allowed.
absl::Status CheckListenAddress(absl::string_view text, bool allow_insecure);

// An address that peers can dial: one of the three forms, and not port 0 nor "any address".
absl::Status CheckDialAddress(absl::string_view text);

// Where peers dial a server that is bound to `bound`: `advertise` if given, else `bound` itself.
// Errors  INVALID_ARGUMENT: nobody can dial it; the text names the flag --advertise.
absl::StatusOr<std::string> AdvertisedAddress(absl::string_view bound, absl::string_view advertise);

}  // namespace expertmesh
