#include "rpc/address.h"

#include <arpa/inet.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr size_t kMaxHostBytes = 253;      // of a DNS name
constexpr size_t kMaxUnixPathBytes = 107;  // of sockaddr_un, with its zero

absl::Status NotAnAddress(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text.substr(0, 300),
                                                 "\" is not an address: ", why,
                                                 "; give HOST:PORT, [IPv6]:PORT or unix:PATH"));
}

bool IsHostCharacter(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_'; }

absl::StatusOr<int> ParsePort(absl::string_view text, absl::string_view port) {
  int number = -1;
  for (char c : port) {
    if (!absl::ascii_isdigit(c)) return NotAnAddress(text, "the port is not a number");
  }
  if (port.empty() || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return NotAnAddress(text, "a port goes from 0 to 65535");
  }
  return number;
}

bool IsAnyAddress(const Address& address) {
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  return inet_pton(AF_INET6, address.host.c_str(), &v6) == 1 &&
         std::memcmp(&v6, &in6addr_any, sizeof v6) == 0;
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  Address address;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    if (rest.empty() || rest.size() > kMaxUnixPathBytes) {
      return NotAnAddress(text, "a path has 1 to 107 bytes");
    }
    address.is_unix = true;
    address.host = std::string(rest);
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return NotAnAddress(text, "it has no port");
  absl::string_view host = text.substr(0, colon);
  ASSIGN_OR_RETURN(address.port, ParsePort(text, text.substr(colon + 1)));

  if (absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]")) {
    in6_addr v6{};
    if (inet_pton(AF_INET6, std::string(host).c_str(), &v6) != 1) {
      return NotAnAddress(text, "what stands in brackets is not an IPv6 address");
    }
  } else {
    if (host.empty() || host.size() > kMaxHostBytes) return NotAnAddress(text, "it has no host");
    for (char c : host) {
      if (!IsHostCharacter(c)) return NotAnAddress(text, "the host has a character it cannot have");
    }
  }
  address.host = std::string(host);
  return address;
}

std::string ToString(const Address& address) {
  if (address.is_unix) return absl::StrCat("unix:", address.host);
  if (absl::StrContains(address.host, ":")) {
    return absl::StrCat("[", address.host, "]:", address.port);
  }
  return absl::StrCat(address.host, ":", address.port);
}

bool IsLoopback(const Address& address) {
  if (address.is_unix || absl::EqualsIgnoreCase(address.host, "localhost")) return true;
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return inet_pton(AF_INET6, address.host.c_str(), &v6) == 1 &&
         std::memcmp(&v6, &in6addr_loopback, sizeof v6) == 0;
}

absl::Status CheckListenAddress(absl::string_view text, bool allow_insecure) {
  const absl::StatusOr<Address> parsed = ParseAddress(text);
  if (!parsed.ok()) return Annotate(parsed.status(), "--listen");
  const Address& address = *parsed;
  if (allow_insecure || IsLoopback(address)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "--listen ", text,
      " can be reached from other machines, and this version has no TLS: anyone "
      "there could use and change the fleet. Listen on loopback (127.0.0.0/8, ::1, localhost, "
      "unix:), or pass --allow-insecure-listen where the network itself keeps others out"));
}

absl::Status CheckDialAddress(absl::string_view text) {
  ASSIGN_OR_RETURN(const Address address, ParseAddress(text));
  if (address.is_unix) return absl::OkStatus();
  if (address.port == 0) return NotAnAddress(text, "nobody can dial port 0");
  if (IsAnyAddress(address)) return NotAnAddress(text, "it stands for any host, and names none");
  return absl::OkStatus();
}

absl::StatusOr<std::string> AdvertisedAddress(absl::string_view bound,
                                              absl::string_view advertise) {
  const absl::string_view chosen = advertise.empty() ? bound : advertise;
  if (absl::Status dialable = CheckDialAddress(chosen); !dialable.ok()) {
    return Annotate(dialable, advertise.empty() ? "peers cannot dial this worker; give --advertise"
                                                : "--advertise");
  }
  return std::string(chosen);
}

}  // namespace expertmesh
